#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace trireme {

/// What becomes one document of a data set, or of two that belong together.
struct TextRecord {
  std::string place;               ///< "file" or "file:line", for messages
  std::vector<std::string> texts;  ///< a whole text; its sentences; source and target; one sentence or a pair
  std::string label;               ///< of a labelled record
};

/// Reads records from untrusted files, in their order.
class TextRecordReader {
 public:
  virtual ~TextRecordReader() = default;
  /// The next records, up to about `bytes` of text (at least one); empty at the end. Throws DataError or
  /// IoError naming the file and the line.
  virtual std::vector<TextRecord> next(int64_t bytes) = 0;
  virtual int64_t bytes_read() const = 0;
};

/// Each text of `files` (a whole file, or what stands under `jsonl_key` in a JSON line) is a record of one
/// text. With `sentences`, each group of its lines between blank lines is a record, and each line a text of
/// it. JSON is parsed by `num_threads` threads.
std::unique_ptr<TextRecordReader> read_documents(const std::vector<std::string>& files,
                                                 const std::string& jsonl_key, bool sentences,
                                                 int num_threads);

/// Line i of both files is record i, with two texts. DataError naming both where one has more lines.
std::unique_ptr<TextRecordReader> read_aligned_lines(const std::string& source, const std::string& target);
/// JSON lines {"source": "...", "target": "..."}; blank lines are skipped.
std::unique_ptr<TextRecordReader> read_json_pairs(const std::string& path);

/// What a column of a table of labelled sentences holds.
enum class LabelledColumn { kLabel, kSentence, kPair, kIgnored };

/// Tab-separated columns: a label, a sentence, and the second of a pair where `columns` has kPair. Blank
/// lines are skipped, and the first line with `header`. Throws ConfigError when `columns` does not have one
/// label and one sentence, and at most one pair; DataError at a line with another number of columns or
/// without label.
std::unique_ptr<TextRecordReader> read_labelled_lines(const std::string& path,
                                                      const std::vector<LabelledColumn>& columns,
                                                      bool header);

}  // namespace trireme
