#include "core/text/sentencepiece_tokenizer.h"

#include <fmt/format.h>
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "core/base/error.h"
#include "core/base/hash.h"

namespace trireme {

struct SentencePieceTokenizer::Library {
  std::string model;  ///< the file
  sentencepiece::SentencePieceProcessor processor;

  std::vector<std::string> pieces() const {
    std::vector<std::string> pieces;
    for (int id = 0; id < processor.GetPieceSize(); ++id) pieces.push_back(processor.IdToPiece(id));
    return pieces;
  }
  std::vector<int32_t> special_ids() const {
    std::vector<int32_t> ids;
    for (int id = 0; id < processor.GetPieceSize(); ++id)
      if (processor.IsControl(id) || processor.IsUnknown(id)) ids.push_back(id);
    return ids;
  }
  SpecialIds special() const {
    // The library says -1 for what a model does not have.
    const auto id = [](int value) { return value < 0 ? std::nullopt : std::optional<int32_t>(value); };
    const auto named = [&](const char* piece) -> std::optional<int32_t> {
      const int value = processor.PieceToId(piece);
      if (value < 0 || processor.IsUnknown(value)) return std::nullopt;
      return value;
    };
    return {.pad = id(processor.pad_id()),
            .unknown = id(processor.unk_id()),
            .begin = id(processor.bos_id()),
            .end = id(processor.eos_id()),
            .cls = named("[CLS]"),
            .sep = named("[SEP]"),
            .mask = named("[MASK]")};
  }
};

std::unique_ptr<SentencePieceTokenizer> SentencePieceTokenizer::parse(std::string model) {
  auto library = std::make_unique<Library>();
  library->model = std::move(model);
  if (const auto status = library->processor.LoadFromSerializedProto(library->model); !status.ok())
    throw DataError(fmt::format("is no SentencePiece model: {}", status.ToString()));
  return std::unique_ptr<SentencePieceTokenizer>(new SentencePieceTokenizer(std::move(library)));
}

SentencePieceTokenizer::SentencePieceTokenizer(std::unique_ptr<Library> library)
    : Tokenizer(library->pieces(), library->special_ids(), library->special()),
      library_(std::move(library)) {}

SentencePieceTokenizer::~SentencePieceTokenizer() = default;

std::vector<int32_t> SentencePieceTokenizer::encode(std::string_view text, SpecialTokens special) const {
  std::vector<int32_t> ids;
  split_at_specials(
      text, special == SpecialTokens::kParse ? special_texts() : std::vector<SpecialText>{},
      [&](std::string_view part) {
        if (part.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max()))
          throw DataError(fmt::format("{} bytes of text are too long for SentencePiece", part.size()));
        std::vector<int> part_ids;
        if (const auto status = library_->processor.Encode({part.data(), part.size()}, &part_ids);
            !status.ok())
          throw DataError(fmt::format("SentencePiece cannot encode: {}", status.ToString()));
        ids.insert(ids.end(), part_ids.begin(), part_ids.end());
      },
      [&](int32_t id) { ids.push_back(id); });
  return ids;
}

std::string SentencePieceTokenizer::join(std::span<const int32_t> ids) const {
  std::string text;
  std::vector<int> run;
  const auto end_run = [&] {
    if (!run.empty()) text += library_->processor.DecodeIds(run);
    run.clear();
  };
  for (const int32_t id : ids) {
    if (!is_special(id)) {
      run.push_back(id);
      continue;
    }
    end_run();
    text += token(id);
  }
  end_run();
  return text;
}

std::string SentencePieceTokenizer::hashed_details() const {
  return xxh3_128_hex(library_->model);
}

Tokenizer::StoredFile SentencePieceTokenizer::stored() const {
  return {"tokenizer.model", library_->model};
}

namespace {

class Sentences : public sentencepiece::SentenceIterator {
 public:
  explicit Sentences(const std::vector<std::string>& sentences) : sentences_(sentences) {}
  bool done() const override { return next_ == sentences_.size(); }
  void Next() override { ++next_; }
  const std::string& value() const override { return sentences_[next_]; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  const std::vector<std::string>& sentences_;
  size_t next_ = 0;
};

}  // namespace

void SentencePieceTrainer::add(std::span<const std::string_view> texts) {
  for (const std::string_view text : texts)
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = std::min(text.find('\n', begin), text.size());
      if (end > begin) sentences_.emplace_back(text.substr(begin, end - begin));
      begin = end + 1;
    }
}

std::unique_ptr<SentencePieceTokenizer> SentencePieceTrainer::train() const {
  if (sentences_.empty()) throw DataError("there is no text to train a tokenizer on");
  // The library's sums depend on the number of threads, so that it is fixed.
  const std::unordered_map<std::string, std::string> arguments = {
      {"model_type", options_.model == SentencePieceModel::kUnigram ? "unigram" : "bpe"},
      {"vocab_size", std::to_string(options_.vocab_size)},
      {"hard_vocab_limit", "false"},
      {"num_threads", "4"},
      {"pad_id", "0"},
      {"unk_id", "1"},
      {"bos_id", "2"},
      {"eos_id", "3"},
      {"minloglevel", "2"}};
  Sentences sentences(sentences_);
  std::string model;
  if (const auto status = sentencepiece::SentencePieceTrainer::Train(arguments, &sentences, &model);
      !status.ok())
    throw ConfigError(fmt::format("SentencePiece cannot learn {} pieces from this text: {}",
                                  options_.vocab_size, status.ToString()));
  return SentencePieceTokenizer::parse(std::move(model));
}

}  // namespace trireme
