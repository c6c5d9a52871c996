#pragma once

#include <memory>
#include <string_view>
#include <vector>

namespace trireme {

/// GPT-2's cut of text into words (Radford et al. 2019, encoder.py): contractions, letters, digits and other
/// characters each with the space before them, and white space. Tokens never cross a word. Bytes that are not
/// UTF-8 become words of their own, so that the words together are always the text. Compiled once, shared by
/// threads; each thread uses a Scratch of its own.
class WordSplitter {
 public:
  WordSplitter();
  ~WordSplitter();
  WordSplitter(const WordSplitter&) = delete;
  WordSplitter& operator=(const WordSplitter&) = delete;

  class Scratch {
   public:
    explicit Scratch(const WordSplitter& splitter);
    ~Scratch();
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

   private:
    friend class WordSplitter;
    struct Match;
    std::unique_ptr<Match> match_;
  };

  /// Appends the words of `text`, as views into it.
  void split(std::string_view text, Scratch& scratch, std::vector<std::string_view>& words) const;

 private:
  struct Pattern;
  void split_valid(std::string_view text, Scratch& scratch, std::vector<std::string_view>& words) const;
  std::unique_ptr<Pattern> pattern_;
};

/// Cuts text into stretches of about `stretch` bytes at places where no word, and no character, can cross:
/// before white space that follows a printable ASCII character. Encoding the stretches one by one gives the
/// same tokens as encoding the text. Text without such places stays whole.
std::vector<std::string_view> cut_between_words(std::string_view text, size_t stretch);

}  // namespace trireme
