#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace trireme {

/// What BERT does to text before it is cut into words; the defaults are those of the uncased models.
struct BertTextOptions {
  bool clean_text = true;     ///< control characters away, white space to spaces
  bool space_cjk = true;      ///< spaces around Chinese characters: each is a word
  bool strip_accents = true;  ///< NFD, then nonspacing marks away
  bool lower_case = true;

  bool operator==(const BertTextOptions&) const = default;
};

/// BERT's basic tokenizer (google-research/bert, tokenization.py) with the choices of Hugging Face's
/// BertNormalizer where the two differ: unassigned code points stay, private use ones go. Categories are
/// those of utf8proc's Unicode. A byte that is not UTF-8 counts as U+FFFD, which clean_text drops.
std::string normalize_bert_text(std::string_view text, const BertTextOptions& options);

/// The words of valid UTF-8, as views into it: cut at white space, which is dropped, and around punctuation
/// (ASCII other than letters, digits and space; Unicode's P), each a word of its own.
std::vector<std::string_view> split_bert_words(std::string_view text);

}  // namespace trireme
