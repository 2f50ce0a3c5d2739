// The assembler places the file in a read-only section at a page boundary. It is never touched
// through memory: its offset in the executable is found from the program headers, and experts are
// then streamed from there under the same budget as any other model's.
#include "model/embedded_model.h"

#include <link.h>

#include <cstdint>
#include <string>

__asm__(
    ".pushsection .sluice_model, \"a\", @progbits\n"
    ".balign 4096\n"
    ".global kSluiceModelBegin\n"
    ".hidden kSluiceModelBegin\n"
    "kSluiceModelBegin:\n"
    ".incbin \"" SLUICE_EMBEDDED_MODEL
    "\"\n"
    ".global kSluiceModelEnd\n"
    ".hidden kSluiceModelEnd\n"
    "kSluiceModelEnd:\n"
    ".byte 0\n"
    ".popsection\n");

extern "C" {
extern const char kSluiceModelBegin[] __attribute__((visibility("hidden")));
extern const char kSluiceModelEnd[] __attribute__((visibility("hidden")));
}

namespace sluice {
namespace {

// The loaded object that holds an address, and where in its file the address comes from.
struct FilePlace {
  uintptr_t address;
  std::string path;
  uint64_t offset = 0;
  bool found = false;
};

int FindPlace(dl_phdr_info* object, size_t /*size*/, void* argument) {
  auto* place = static_cast<FilePlace*>(argument);
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = object->dlpi_phdr[i];
    const uintptr_t begin = object->dlpi_addr + segment.p_vaddr;
    if (segment.p_type != PT_LOAD || place->address < begin ||
        place->address >= begin + segment.p_filesz) {
      continue;
    }
    const std::string name = object->dlpi_name;
    place->path = name.empty() ? "/proc/self/exe" : name;
    place->offset = segment.p_offset + (place->address - begin);
    place->found = true;
    return 1;
  }
  return 0;
}

}  // namespace

Result<std::unique_ptr<File>> OpenEmbeddedFile() {
  FilePlace place{.address = reinterpret_cast<uintptr_t>(kSluiceModelBegin), .path = {}};
  dl_iterate_phdr(FindPlace, &place);
  if (!place.found) return InternalError("the embedded model is not in any loaded file");
  const auto bytes = static_cast<uint64_t>(reinterpret_cast<uintptr_t>(kSluiceModelEnd) -
                                           reinterpret_cast<uintptr_t>(kSluiceModelBegin));
  return File::OpenRange(place.path, place.offset, bytes, "rill (embedded)");
}

Result<Model> OpenEmbeddedModel() {
  SLUICE_TRY_ASSIGN(auto file, OpenEmbeddedFile());
  SLUICE_TRY_ASSIGN(Checkpoint checkpoint, OpenGguf(std::move(file)));
  return OpenModel(std::move(checkpoint));
}

}  // namespace sluice
