// One damaged model, opened and asked.
#pragma once

#include <string>

namespace sluice {

enum class Verdict {
  kRefused,        // Open says why, naming the file
  kRequestFailed,  // it opened; a request fails with a message that is not about its numbers
  kNotFinite,      // the same, because numbers were not finite
  kAnswered,       // finite logits: the damage does not matter, or nobody can know
};
inline constexpr int kVerdicts = 4;

struct Trial {
  Verdict verdict = Verdict::kRefused;
  std::string message;  // of the failure
  std::string finding;  // what must not happen; "" if it did not
};

// Opens the model at `path`, submits two requests, and reads the answers.
Trial TryModel(const std::string& path);

}  // namespace sluice
