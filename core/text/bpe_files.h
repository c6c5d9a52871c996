#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "core/text/byte_level_bpe.h"

namespace trireme {

/// GPT-2's pair of files: `encoder` maps tokens (in byte symbols) to ids, `merges` has a "#version" line and
/// one pair a line. <|endoftext|>, where present, is the special token. Throws DataError.
BpeVocabulary read_gpt2_files(const std::string& encoder_path, const std::string& merges_path);

/// tokenizer.json of Hugging Face `tokenizers`. Only GPT-2's kind is taken: model BPE, pre-tokenizer
/// ByteLevel with its regular expression and no added space, no normalizer, no tokens added by a
/// post-processor. All else that would change ids is refused with a DataError that names the field. `name` is
/// for messages.
BpeVocabulary parse_hugging_face_json(const nlohmann::json& root, const std::string& name);

/// The tokenizer.json that Hugging Face `tokenizers` loads with the same results.
std::string to_hugging_face_json(const BpeVocabulary& vocabulary);

}  // namespace trireme
