#include "erofs-format/base/version.h"

#include <elf.h>
#include <fmt/format.h>
#include <link.h>

#include <cstring>

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/checked.h"
#include "erofs-format/base/digest.h"

namespace erofs_format {

namespace {

constexpr char kOwner[] = "GNU";  // stored with its NUL

// The build id among the notes of one segment.
ByteView find_build_id(ByteView notes) {
  while (notes.size() >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) note;
    std::memcpy(&note, notes.data(), sizeof note);
    size_t name_size = align_up(size_t{note.n_namesz}, 4), value_size = align_up(size_t{note.n_descsz}, 4);
    notes = notes.subspan(sizeof note);
    if (notes.size() < name_size || notes.size() - name_size < value_size) return {};
    bool owned = note.n_namesz == sizeof kOwner && std::memcmp(notes.data(), kOwner, sizeof kOwner) == 0;
    if (owned && note.n_type == NT_GNU_BUILD_ID) return notes.subspan(name_size, note.n_descsz);
    notes = notes.subspan(name_size + value_size);
  }
  return {};
}

// Called with the program itself first; libraries are not asked.
int take_build_id(dl_phdr_info* program, size_t, void* into) {
  for (size_t i = 0; i < program->dlpi_phnum; i++) {
    const auto& segment = program->dlpi_phdr[i];
    if (segment.p_type != PT_NOTE) continue;
    const auto* start = reinterpret_cast<const uint8_t*>(program->dlpi_addr + segment.p_vaddr);
    ByteView id = find_build_id({start, segment.p_memsz});
    if (!id.empty()) *static_cast<std::string*>(into) = to_hex(id);
  }
  return 1;
}

}  // namespace

std::string build_id() {
  std::string id;
  ::dl_iterate_phdr(take_build_id, &id);
  return id;
}

std::string version_text() {
#ifdef NDEBUG
  constexpr std::string_view kProfile = "release";
#else
  constexpr std::string_view kProfile = "debug";
#endif
  return fmt::format(
      "Version: \t{}\nGit Commit: \t{}\nBuild Time: \tnot recorded\nProfile: \t{}\nRustc: \tnone, C++ "
      "compiler {}\n",
      kVersion, build_id(), kProfile, __VERSION__);
}

}  // namespace erofs_format
