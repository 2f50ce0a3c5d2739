// rill, the small model inside this library: bytes of the executable, read like any other file.
#pragma once

#include "model/model.h"
#include "sluice/status.h"

namespace sluice {

// The GGUF file as a range of the executable (or shared library) that holds it.
Result<std::unique_ptr<File>> OpenEmbeddedFile();
Result<Model> OpenEmbeddedModel();

}  // namespace sluice
