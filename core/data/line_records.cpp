// Records that are lines: aligned pairs, and sentences with labels.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "core/base/error.h"
#include "core/base/strict_json.h"
#include "core/data/line_reader.h"
#include "core/data/text_records.h"

namespace trireme {
namespace {

/// Gathers what `read` gives until it gives nothing.
class LineRecords : public TextRecordReader {
 public:
  std::vector<TextRecord> next(int64_t bytes) override {
    std::vector<TextRecord> records;
    const int64_t end = bytes_read() + bytes;
    while (records.empty() || bytes_read() < end) {
      auto record = read();
      if (!record) break;
      records.push_back(std::move(*record));
    }
    return records;
  }

 private:
  virtual std::optional<TextRecord> read() = 0;
};

class AlignedLines : public LineRecords {
 public:
  AlignedLines(const std::string& source, const std::string& target)
      : source_path_(source), target_path_(target), source_(source), target_(target) {}
  int64_t bytes_read() const override { return source_.bytes_read() + target_.bytes_read(); }

 private:
  std::optional<TextRecord> read() override {
    TextRecord record{{}, std::vector<std::string>(2), {}};
    const bool has_source = source_.next(record.texts[0]), has_target = target_.next(record.texts[1]);
    if (has_source != has_target) fail(has_source ? 1 : 0, has_target ? 1 : 0);
    if (!has_source) return std::nullopt;
    ++num_lines_;
    record.place = source_.place();
    return record;
  }
  [[noreturn]] void fail(int64_t more_source, int64_t more_target) {
    std::string line;
    while (source_.next(line)) ++more_source;
    while (target_.next(line)) ++more_target;
    throw DataError(
        fmt::format("{} has {} lines and {} has {}; expected as many, as line i of one belongs to line i of "
                    "the other",
                    source_path_, num_lines_ + more_source, target_path_, num_lines_ + more_target));
  }

  std::string source_path_, target_path_;
  LineReader source_, target_;
  int64_t num_lines_ = 0;
};

bool is_blank(const std::string& line) {
  return line.find_first_not_of(" \t\r") == std::string::npos;
}

class JsonPairs : public LineRecords {
 public:
  explicit JsonPairs(const std::string& path) : lines_(path) {}
  int64_t bytes_read() const override { return lines_.bytes_read(); }

 private:
  std::optional<TextRecord> read() override {
    std::string line;
    do {
      if (!lines_.next(line)) return std::nullopt;
    } while (is_blank(line));
    const std::string place = lines_.place();
    const nlohmann::json root = parse_strict_json(line, place);
    TextRecord record{place, {}, {}};
    for (const char* key : {"source", "target"}) {
      const auto found = root.find(key);
      if (found == root.end()) throw DataError(fmt::format("{}: has no key '{}'", place, key));
      if (!found->is_string())
        throw DataError(fmt::format("{}: '{}' is {}, expected a string", place, key, found->type_name()));
      record.texts.push_back(found->get<std::string>());
    }
    return record;
  }

  LineReader lines_;
};

class LabelledLines : public LineRecords {
 public:
  LabelledLines(const std::string& path, std::vector<LabelledColumn> columns, bool header)
      : columns_(std::move(columns)), lines_(path) {
    const auto count = [&](LabelledColumn kind) {
      return std::count(columns_.begin(), columns_.end(), kind);
    };
    if (count(LabelledColumn::kLabel) != 1 || count(LabelledColumn::kSentence) != 1 ||
        count(LabelledColumn::kPair) > 1)
      throw ConfigError("the columns have no label or no sentence, or one of them twice");
    std::string ignored;
    if (header) lines_.next(ignored);
  }
  int64_t bytes_read() const override { return lines_.bytes_read(); }

 private:
  std::optional<TextRecord> read() override {
    std::string line;
    do {
      if (!lines_.next(line)) return std::nullopt;
    } while (is_blank(line));
    const auto count = static_cast<size_t>(std::count(line.begin(), line.end(), '\t')) + 1;
    if (count != columns_.size())
      throw DataError(fmt::format("{}: has {} columns between tabs, expected {}", lines_.place(), count,
                                  columns_.size()));
    TextRecord record{lines_.place(), {}, {}};
    size_t begin = 0;
    for (const LabelledColumn column : columns_) {
      const size_t end = std::min(line.find('\t', begin), line.size());
      std::string field = line.substr(begin, end - begin);
      begin = end + 1;
      if (column == LabelledColumn::kLabel) record.label = std::move(field);
      if (column == LabelledColumn::kSentence) record.texts.insert(record.texts.begin(), std::move(field));
      if (column == LabelledColumn::kPair) record.texts.push_back(std::move(field));
    }
    if (record.label.empty()) throw DataError(fmt::format("{}: has no label", record.place));
    return record;
  }

  std::vector<LabelledColumn> columns_;
  LineReader lines_;
};

}  // namespace

std::unique_ptr<TextRecordReader> read_aligned_lines(const std::string& source, const std::string& target) {
  return std::make_unique<AlignedLines>(source, target);
}
std::unique_ptr<TextRecordReader> read_json_pairs(const std::string& path) {
  return std::make_unique<JsonPairs>(path);
}
std::unique_ptr<TextRecordReader> read_labelled_lines(const std::string& path,
                                                      const std::vector<LabelledColumn>& columns,
                                                      bool header) {
  return std::make_unique<LabelledLines>(path, columns, header);
}

}  // namespace trireme
