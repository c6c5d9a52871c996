#include "core/base/parallel_tasks.h"
#include "core/data/text_documents.h"
#include "core/data/text_records.h"

namespace trireme {
namespace {

bool is_blank(const std::string& line) {
  return line.find_first_not_of(" \t\r\v\f") == std::string::npos;
}

class DocumentRecords : public TextRecordReader {
 public:
  DocumentRecords(const std::vector<std::string>& files, std::string jsonl_key, bool sentences,
                  int num_threads)
      : reader_(files), jsonl_key_(std::move(jsonl_key)), sentences_(sentences), num_threads_(num_threads) {}

  std::vector<TextRecord> next(int64_t bytes) override {
    std::vector<TextRecord> records;
    while (records.empty()) {
      const auto documents = reader_.next(bytes);
      if (documents.empty()) break;
      std::vector<std::string> texts(documents.size());
      run_tasks(static_cast<int64_t>(documents.size()), num_threads_,
                [&](int64_t i, int) { texts[i] = documents[i].text(jsonl_key_); });
      for (size_t i = 0; i < documents.size(); ++i) {
        if (sentences_)
          add_sentences(texts[i], documents[i].place, records);
        else
          records.push_back({documents[i].place, {std::move(texts[i])}, {}});
      }
    }
    return records;
  }
  int64_t bytes_read() const override { return reader_.bytes_read(); }

 private:
  static void add_sentences(const std::string& text, const std::string& place,
                            std::vector<TextRecord>& records) {
    TextRecord group;
    const auto end_group = [&] {
      if (!group.texts.empty()) records.push_back(std::move(group));
      group = {};
    };
    int64_t number = 1;
    for (size_t begin = 0; begin < text.size(); ++number) {
      const size_t end = std::min(text.find('\n', begin), text.size());
      std::string line = text.substr(begin, end - begin);
      begin = end + 1;
      if (is_blank(line)) {
        end_group();
        continue;
      }
      if (line.ends_with('\r')) line.pop_back();
      if (group.texts.empty()) group.place = place + ", line " + std::to_string(number);
      group.texts.push_back(std::move(line));
    }
    end_group();
  }

  DocumentReader reader_;
  std::string jsonl_key_;
  bool sentences_;
  int num_threads_;
};

}  // namespace

std::unique_ptr<TextRecordReader> read_documents(const std::vector<std::string>& files,
                                                 const std::string& jsonl_key, bool sentences,
                                                 int num_threads) {
  return std::make_unique<DocumentRecords>(files, jsonl_key, sentences, num_threads);
}

}  // namespace trireme
