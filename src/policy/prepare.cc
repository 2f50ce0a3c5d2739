#include "policy/prepare.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <utility>

#include "base/file.h"
#include "cache/prefetch.h"

namespace sluice {
namespace {

constexpr uint64_t kMaxProfileBytes = 64U << 20;
constexpr uint64_t kMaxTableBytes = 1U << 30;

// Files are named from where the policy lies, or from where the user is.
std::string Beside(const std::string& policy_file, const std::string& path) {
  const std::filesystem::path named(path);
  if (named.is_absolute()) return path;
  const std::filesystem::path beside = std::filesystem::path(policy_file).parent_path() / named;
  std::error_code ignored;
  return std::filesystem::exists(beside, ignored) ? beside.string() : path;
}

Result<std::string> ReadText(const std::string& path, uint64_t limit) {
  SLUICE_TRY_ASSIGN(const std::unique_ptr<File> file, File::Open(path));
  return file->ReadAll(limit);
}

std::string_view Trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

// The next field of a line; false if it is no number.
bool TakeNumber(std::string_view* line, double* number) {
  const size_t comma = line->find(',');
  const std::string_view field = Trim(line->substr(0, comma));
  *line = comma == std::string_view::npos ? std::string_view() : line->substr(comma + 1);
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), *number);
  return error == std::errc() && end == field.data() + field.size();
}

}  // namespace

Result<std::vector<double>> ParseProfile(std::string_view text, const std::string& name,
                                         CacheShape shape) {
  std::vector<double> popularity(shape.size());
  int line_number = 0;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    ++line_number;
    line = Trim(line.substr(0, line.find('#')));
    if (line.empty() || line == "layer,expert,count") continue;
    double layer = 0, expert = 0, count = 0;
    if (!TakeNumber(&line, &layer) || !TakeNumber(&line, &expert) || !TakeNumber(&line, &count) ||
        !line.empty() || !(count >= 0)) {
      return InvalidArgumentError(
          fmt::format("{}:{}: write layer,expert,count", name, line_number));
    }
    if (!(layer >= 0 && layer < shape.layers && expert >= 0 && expert < shape.experts)) {
      return InvalidArgumentError(fmt::format(
          "{}:{}: expert {} of layer {} is outside the model's {} layers of {} experts: a profile "
          "of another model?",
          name, line_number, expert, layer, shape.layers, shape.experts));
    }
    popularity[shape.Index(
        {.layer = static_cast<int32_t>(layer), .expert = static_cast<int32_t>(expert)})] = count;
  }
  return popularity;
}

Result<PreparedPolicy> PreparePolicy(PolicySource source, const CompileOptions& options,
                                     const PolicyFiles& files) {
  PreparedPolicy prepared{.source = std::move(source)};
  const PolicySource& from = prepared.source;
  SLUICE_TRY_ASSIGN(prepared.spec, CompilePolicy(from.text, from.file_name, options, from.policy));
  const CacheSpec& cache = prepared.spec.cache;
  if (cache.init == Init::kProfile && options.shape) {
    const std::string path =
        files.profile.empty() ? Beside(from.file_name, cache.profile) : files.profile;
    const Result<std::string> text = ReadText(path, kMaxProfileBytes);
    if (!text.ok()) {
      return text.status().Annotate(fmt::format(
          "policy {} starts from a profile; make one of a trace with `sluice trace profile` and "
          "give it with --profile",
          prepared.spec.name));
    }
    SLUICE_TRY_ASSIGN(prepared.popularity, ParseProfile(*text, path,
                                                        {.layers = options.shape->layers,
                                                         .experts = options.shape->experts}));
  }
  for (const PrefetchSpec& prefetch : prepared.spec.prefetch) {
    if (prefetch.table.empty() || !prepared.table.empty()) continue;
    const std::string path =
        files.table.empty() ? Beside(from.file_name, prefetch.table) : files.table;
    Result<std::string> table = ReadText(path, kMaxTableBytes);
    if (!table.ok()) {
      return table.status().Annotate(fmt::format(
          "policy {} predicts by a table; make one of a trace with `sluice trace table` and give "
          "it with --table",
          prepared.spec.name));
    }
    prepared.table = std::move(table).value();
    if (options.shape) {
      const Status usable = CheckPredictorTable(
          prepared.table, {.layers = options.shape->layers, .experts = options.shape->experts});
      if (!usable.ok()) return usable.Annotate(path);
    }
  }
  return prepared;
}

Result<PreparedPolicy> PreparePolicy(const std::string& name_or_path, const CompileOptions& options,
                                     const PolicyFiles& files) {
  SLUICE_TRY_ASSIGN(PolicySource source, FindPolicySource(name_or_path));
  return PreparePolicy(std::move(source), options, files);
}

std::vector<std::string> WithoutEffect(const PolicySpec& spec) {
  std::vector<std::string> notes;
  const auto note = [&](bool present, const char* text) {
    if (present && std::ranges::find(notes, text) == notes.end()) notes.emplace_back(text);
  };
  note(spec.cache.backend == Backend::kPageCache,
       "backend = pagecache: experts are held in sluice's own memory");
  note(!spec.tiers.empty(), "tier: this machine has one memory for experts");
  for (const ScheduleSpec& schedule : spec.schedule) {
    note(schedule.lossy || schedule.route_bias > 0 || schedule.drop_below > 0 ||
             schedule.min_experts > 0 || schedule.defer > 0,
         "lossy, route_bias, drop_below, min_experts, defer: the output is not changed");
    note(schedule.microbatches != 1, "microbatches: a step is computed as one batch");
    note(schedule.replicate > 1, "replicate: an expert is held once");
    note(!schedule.active_only, "active_only = false: experts that nobody chose are not computed");
  }
  return notes;
}

}  // namespace sluice
