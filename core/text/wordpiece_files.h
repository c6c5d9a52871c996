#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "core/text/wordpiece.h"

namespace trireme {

/// BERT's vocab.txt: a token a line, the line number (from 0) is the id. Beside it may lie Hugging Face's
/// tokenizer_config.json, of which do_lower_case, strip_accents (null: as do_lower_case) and
/// tokenize_chinese_chars count; without it the model is uncased. Throws DataError.
WordPieceVocabulary read_vocab_txt(const std::string& path);

/// tokenizer.json of Hugging Face `tokenizers` with the model WordPiece, BertNormalizer and BertPreTokenizer.
/// Its post-processor may add [CLS] and [SEP] (as BERT's inputs have them, which is the objective's business
/// here); all else that would change ids is refused with a DataError that names the field. `name` is for
/// messages.
WordPieceVocabulary parse_wordpiece_json(const nlohmann::json& root, const std::string& name);

/// The tokenizer.json that Hugging Face `tokenizers` loads with the same ids.
std::string to_hugging_face_json(const WordPieceVocabulary& vocabulary);

}  // namespace trireme
