// What to do with a file the cache has from earlier: the kernel serves every byte in it without asking
// anybody.
#pragma once

#include "fscached/kernel/cache_directory.h"
#include "fscached/object/blob_layout.h"
#include "fscached/object/presence.h"

namespace fscached {

// Where it is written down what a blob's file holds.
std::string presence_of(const CookieName& name);
// Culls a file; one the kernel is still letting go of is waited for. Inside CacheDirectory::run().
Result<void> cull_when_free(const CacheDirectory& directory, const CookieName& name);
// Whether each known chunk that has data in the file is one `presence` vouches for.
bool vouches_for(const Presence& presence, const BlobLayout& layout, const std::vector<Extent>& data);

struct Admitted {
  std::optional<Presence> presence;
  uint64_t rehashed = 0;  // chunks that were hashed and are right
};
// The presence of a file that may stay; none when there is no file, or when it was removed because nobody
// vouches for its data (its daemon did not end well, or the images of the blob disagree). Inside
// CacheDirectory::run().
Result<Admitted> admit_existing_file(const CacheDirectory& directory, const CookieName& name,
                                     const BlobLayout& layout);

}  // namespace fscached
