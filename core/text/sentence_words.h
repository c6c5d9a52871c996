#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace trireme {

/// Cuts text into words and punctuation, for German and English, close to what spaCy's rules give:
/// - white space separates; every other character that is no letter, digit or mark is a token of its own,
/// runs of full
///   stops and of hyphens excepted;
/// - an apostrophe between letters, and . , : between digits, stay inside a word (o'clock, 3.50, 10:30);
/// - English endings are cut off: 's 're 've 'll 'd 'm n't (do n't, man 's);
/// - a hyphen has "@" on each side where no space was: t @-@ shirt, ein @- und (as Moses writes it); an
/// opening
///   apostrophe before a letter is "'@".
/// Control characters and bytes that are not UTF-8 are dropped, white space becomes spaces, and the result is
/// in NFC, so that an accent is the same however it was typed. With `lower_case`, letters are in lower case.
std::vector<std::string> split_sentence(std::string_view text, bool lower_case);

/// The sentence of such words: a space between two, except where the marks of split_sentence, an English
/// ending, closing punctuation, an opening bracket, a slash or a pair of quotes want none.
std::string join_sentence(std::span<const std::string_view> words);

}  // namespace trireme
