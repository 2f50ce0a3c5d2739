// What a user chooses: how an engine is opened, how a request samples.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace sluice {

struct LoadProgress {
  uint64_t bytes_done = 0;
  uint64_t bytes_total = 0;
};

// What opening demands of the template by which a model wants conversations spelt.
enum class ChatTemplateUse {
  kIfAsked,  // nothing: an error waits until a conversation is formatted
  kIfAny,    // that it can be read, if there is one
  kNeeded,   // that there is one
};

struct EngineOptions {
  // A .gguf file, a Hugging Face directory, or "" for the model that is embedded in the library.
  std::string model;
  // For the whole process, as peak RSS: bytes ("6GiB"), a share of the machine ("50%"), or "auto":
  // what is free.
  std::string ram_budget = "auto";
  int threads = 0;               // 0: one per core that this process may use
  int64_t context_tokens = 0;    // of one sequence, prompt and answer; 0: the model's, at most 4096
  int parallel = 1;              // sequences that are computed together
  int64_t prefill_chunk = 512;   // tokens of one step, at most
  std::string kv_cache = "f16";  // f32, f16, bf16 or q8_0
  std::string device = "auto";   // see DeviceNames()
  // Which experts stay, come early, leave: the name of a policy that ships, a .moe file, or
  // FILE:POLICY. docs/policy-language.md
  std::string policy = "default";
  std::string policy_profile;  // takes the place of the file that `profile = "..."` names
  std::string policy_table;    // the same for `table = "..."`
  std::string trace_path;      // routing as JSON lines; "": none
  uint64_t trace_seed = 0;     // goes into the trace's first line
  ChatTemplateUse chat_template = ChatTemplateUse::kIfAsked;
  std::function<void(const LoadProgress&)> on_load;  // called on the opening thread
};

// Applied in this order: penalties, top-k, top-p, min-p, temperature. Defaults choose greedily.
struct SamplingParams {
  float temperature = 0;         // 0: the likeliest token
  int top_k = 0;                 // keep the k likeliest; 0: all
  float top_p = 1;               // keep the likeliest up to this probability in all
  float min_p = 0;               // drop what is less likely than this times the likeliest
  float repetition_penalty = 1;  // divides positive, multiplies negative logits of seen tokens
  float presence_penalty = 0;    // subtracted from logits of seen tokens
  float frequency_penalty = 0;   // the same, times how often they were seen
  int penalty_last_n = 64;       // tokens that count as seen; -1: all
  uint64_t seed = 0;             // same seed, same request: same text
};

}  // namespace sluice
