#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/data/line_reader.h"

namespace trireme {

/// The files that `inputs` name: files as they are, folders with all regular files below them whose names
/// match one of the shell patterns in `include` (none: every file), in the order of their paths. Links to
/// folders are not followed. Throws DataError when an input is missing or unreadable, or nothing matches.
std::vector<std::string> list_text_files(const std::vector<std::string>& inputs,
                                         const std::vector<std::string>& include);

/// Whether the name ends in .jsonl or .jsonl.gz.
bool is_jsonl(const std::string& path);

/// One document as it was read: a whole text file, or a line of a .jsonl file still to be parsed.
struct RawDocument {
  std::string content;
  std::string place;  ///< "file" or "file:line", for messages
  bool is_json = false;

  /// The text. Throws DataError naming the place when a line is not a JSON object with a string under `key`.
  std::string text(const std::string& key) const;
};

/// Reads the documents of files one after the other; those whose names end in .gz are unpacked.
class DocumentReader {
 public:
  explicit DocumentReader(std::vector<std::string> files);

  /// The next documents, up to about `bytes` (at least one); empty at the end. Blank lines of .jsonl files
  /// are no documents. Throws DataError or IoError naming the file.
  std::vector<RawDocument> next(int64_t bytes);
  int64_t bytes_read() const { return bytes_read_; }

 private:
  void read_line(std::vector<RawDocument>& documents);

  std::vector<std::string> files_;
  size_t next_file_ = 0;
  std::optional<LineReader> lines_;  ///< while inside a .jsonl file
  int64_t bytes_read_ = 0;
};

}  // namespace trireme
