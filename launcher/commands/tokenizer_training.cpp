#include "launcher/commands/tokenizer_training.h"

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/text/bpe_trainer.h"
#include "core/text/wordpiece_trainer.h"
#include "core/text/words_tokenizer.h"

namespace trireme {
namespace {

constexpr int64_t kDefaultVocabSize = 8192;

std::unique_ptr<Tokenizer> tokenizer_of(BpeVocabulary vocabulary) {
  return std::make_unique<ByteLevelBpe>(std::move(vocabulary));
}
std::unique_ptr<Tokenizer> tokenizer_of(WordPieceVocabulary vocabulary) {
  return std::make_unique<WordPieceTokenizer>(std::move(vocabulary));
}
std::unique_ptr<Tokenizer> tokenizer_of(std::unique_ptr<Tokenizer> tokenizer) {
  return tokenizer;
}

/// A trainer that takes texts together.
template <class Trainer>
class Training : public TokenizerTraining {
 public:
  template <class Options>
  explicit Training(const Options& options) : trainer_(options) {}
  void add(const std::vector<PlacedText>& texts) override {
    std::vector<std::string_view> views;
    for (const PlacedText& placed : texts) views.push_back(placed.text);
    trainer_.add(views);
  }
  std::unique_ptr<Tokenizer> train() const override { return tokenizer_of(trainer_.train()); }

 private:
  Trainer trainer_;
};

/// The one that refuses texts, so that it must say which.
class CharacterTraining : public TokenizerTraining {
 public:
  CharacterTraining(CharacterUnit unit, bool end_of_document)
      : trainer_(unit), end_of_document_(end_of_document) {}
  void add(const std::vector<PlacedText>& texts) override {
    for (const PlacedText& placed : texts) {
      try {
        trainer_.add(placed.text);
      } catch (const DataError& error) {
        throw DataError(fmt::format("{}: {}", placed.place, error.what()));
      }
    }
  }
  std::unique_ptr<Tokenizer> train() const override { return trainer_.train(end_of_document_); }

 private:
  CharacterTrainer trainer_;
  bool end_of_document_;
};

std::unique_ptr<TokenizerTraining> make_words(const TokenizerTrainingOptions& options) {
  WordsTrainingOptions words{.min_frequency = options.min_frequency,
                             .lower_case = !options.keep_case,
                             .num_threads = options.num_threads};
  if (options.vocab_size) words.vocab_size = *options.vocab_size;
  return std::make_unique<Training<WordsTrainer>>(words);
}

}  // namespace

std::unique_ptr<TokenizerTraining> make_training(const TokenizerTrainingOptions& options) {
  const int64_t vocab_size = options.vocab_size.value_or(kDefaultVocabSize);
  switch (options.kind) {
    case TrainedTokenizer::kCharacter:
      return std::make_unique<CharacterTraining>(options.character_unit, options.end_of_document);
    case TrainedTokenizer::kBpe:
      return std::make_unique<Training<BpeTrainer>>(BpeTrainingOptions{.vocab_size = vocab_size,
                                                                       .min_frequency = options.min_frequency,
                                                                       .num_threads = options.num_threads});
    case TrainedTokenizer::kWordPiece:
      return std::make_unique<Training<WordPieceTrainer>>(
          WordPieceTrainingOptions{.vocab_size = vocab_size,
                                   .min_frequency = options.min_frequency,
                                   .text = {.strip_accents = !options.keep_accents && !options.keep_case,
                                            .lower_case = !options.keep_case},
                                   .max_word_length = options.max_word_length,
                                   .num_threads = options.num_threads});
    case TrainedTokenizer::kWords:
      return make_words(options);
    case TrainedTokenizer::kSentencePiece:
      break;
  }
  return std::make_unique<Training<SentencePieceTrainer>>(
      SentencePieceTrainingOptions{.vocab_size = vocab_size, .model = options.sentencepiece_model});
}

}  // namespace trireme
