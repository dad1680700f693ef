// Numbered places between steps that matter, where a test kills the process that passes them:
// kernel-tests/510-kill-points.
#pragma once

namespace fscached {

#ifdef FAULTS
// In builds with MODE=faults: the file FAULT in the working directory, which is the daemon's root, says
// `kill@NUMBER` or `kill@NUMBER,NTH`. Who is there for the NTH time, counted over all processes, writes
// `done` into it and dies by SIGKILL, so that its successor lives. Each number is used once; the test looks.
void fault_point(unsigned number);
#else
inline void fault_point(unsigned) {}
#endif

}  // namespace fscached
