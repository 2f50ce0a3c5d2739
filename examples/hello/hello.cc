// Opens a model, asks it something, prints the answer as it comes.
//   hello "sort: 4 1 3 ="              the embedded model
//   hello "The sea is" model.gguf 4GiB
#include <sluice/engine.h>

#include <iostream>

namespace {

sluice::Status Answer(const char* prompt, const char* model, const char* budget) {
  SLUICE_TRY_ASSIGN(auto engine, sluice::Engine::Open({.model = model, .ram_budget = budget}));
  SLUICE_TRY_ASSIGN(auto stream, engine->Submit({.prompt = prompt, .max_tokens = 64}));
  while (true) {
    SLUICE_TRY_ASSIGN(auto event, stream.Next());
    if (!event) break;
    std::cout << event->text << std::flush;
  }
  const sluice::EngineStats stats = engine->stats();
  std::cout << "\n[" << stats.experts.hits << " of " << stats.experts.accesses
            << " experts were in RAM when needed]\n";
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: hello PROMPT [MODEL [RAM_BUDGET]]\n";
    return 2;
  }
  const sluice::Status status =
      Answer(argv[1], argc > 2 ? argv[2] : "", argc > 3 ? argv[3] : "auto");
  if (!status.ok()) std::cerr << "hello: " << status.message() << "\n";
  return status.ok() ? 0 : 1;
}
