#include "launcher/commands/line_translator.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <sstream>

#include "core/base/error.h"
#include "core/base/file.h"

namespace trireme {
namespace {

constexpr size_t kLinesAtOnce = 64;

int32_t required(std::optional<int32_t> id, const Tokenizer& tokenizer, const char* what) {
  if (!id)
    throw ConfigError(fmt::format("generate: the {} tokenizer has no token for the {} of a sentence",
                                  tokenizer.kind(), what));
  return *id;
}

}  // namespace

std::vector<std::string> read_lines(const std::string& path) {
  std::istringstream text(read_file(path));
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) {
    if (line.ends_with('\r')) line.pop_back();
    lines.push_back(std::move(line));
  }
  return lines;
}

LineTranslator::LineTranslator(Context& context, Model& model, RunTokenizers tokenizers, int64_t max_tokens,
                               const SamplingOptions& sampling)
    : context_(context), model_(model), tokenizers_(std::move(tokenizers)) {
  if (!tokenizers_.tokens) throw ConfigError("generate: the run has no tokenizer; give one with --tokenizer");
  options_.source_end = required(source().special().end, source(), "end");
  options_.begin = required(target().special().begin, target(), "beginning");
  options_.end = required(target().special().end, target(), "end");
  options_.max_tokens = max_tokens;
  options_.sampling = sampling;
}

std::vector<std::string> LineTranslator::translate(const std::vector<std::string>& lines) {
  std::vector<std::vector<int32_t>> sources;
  for (const std::string& line : lines) sources.push_back(source().encode(line, SpecialTokens::kIgnore));
  // Lines of similar length together: padding costs.
  std::vector<size_t> order(lines.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return sources[a].size() < sources[b].size(); });
  std::vector<std::string> translations(lines.size());
  for (size_t begin = 0; begin < order.size(); begin += kLinesAtOnce) {
    const size_t end = std::min(order.size(), begin + kLinesAtOnce);
    std::vector<std::vector<int32_t>> some;
    for (size_t i = begin; i < end; ++i) some.push_back(sources[order[i]]);
    const auto targets = trireme::translate(context_, model_, some, options_);
    for (size_t i = begin; i < end; ++i)
      translations[order[i]] = target().decode(targets[i - begin], SpecialTokens::kIgnore);
  }
  return translations;
}

}  // namespace trireme
