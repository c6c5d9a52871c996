#include "core/data/labelled_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "core/base/error.h"
#include "core/base/hash.h"

namespace trireme {

LabelledFile::LabelledFile(const std::string& prefix, DataPart part, const DataConfig& config,
                           const SampleNeeds& needs)
    : dataset_(prefix),
      labels_(read_labels(labels_path(prefix))),
      range_(range_of(config, part, dataset_.num_documents())),
      seq_length_(config.seq_length),
      vocab_size_(needs.vocab_size),
      cls_(needs.roles.cls),
      sep_(needs.roles.sep) {
  const std::string path = labels_path(prefix);
  if (static_cast<int64_t>(labels_.labels.size()) != dataset_.num_documents())
    throw DataError(fmt::format("{}: {} labels, but {} has {} documents", path, labels_.labels.size(),
                                idx_path(prefix), dataset_.num_documents()));
  if (static_cast<int64_t>(labels_.classes.size()) > needs.num_classes)
    throw DataError(fmt::format("{}: has {} classes, but model.num_classes is {}", path,
                                labels_.classes.size(), needs.num_classes));
  for (int64_t i = 0; i < dataset_.num_documents(); ++i) {
    const int64_t sentences = dataset_.first_sequence(i + 1) - dataset_.first_sequence(i);
    if (sentences != 1 && sentences != 2)
      throw DataError(
          fmt::format("{}: document {} has {} sequences, expected one sentence or two; `trireme prepare "
                      "--labelled` writes such files",
                      idx_path(prefix), i, sentences));
  }
}

std::vector<int64_t> LabelledFile::cut_lengths(int64_t document) const {
  std::vector<int64_t> lengths;
  for (int64_t i = dataset_.first_sequence(document); i < dataset_.first_sequence(document + 1); ++i)
    lengths.push_back(dataset_.sequence_begin(i + 1) - dataset_.sequence_begin(i));
  const int64_t room = seq_length_ - 1 - static_cast<int64_t>(lengths.size());  // [CLS], a [SEP] each
  if (lengths.size() == 1) return {std::min(lengths[0], room)};
  // The longer gives first, then both in turn; b where they are equal.
  const int64_t excess = std::max<int64_t>(0, lengths[0] + lengths[1] - room);
  const size_t longer = lengths[0] > lengths[1] ? 0 : 1;
  const int64_t alone = std::min(excess, lengths[longer] - lengths[1 - longer]);
  lengths[longer] -= alone;
  lengths[1] -= (excess - alone + 1) / 2;
  lengths[0] -= (excess - alone) / 2;
  return lengths;
}

int64_t LabelledFile::num_tokens(int64_t example) const {
  const std::vector<int64_t> lengths = cut_lengths(range_.begin + example);
  return std::accumulate(lengths.begin(), lengths.end(), 1 + static_cast<int64_t>(lengths.size()));
}

SampleContent LabelledFile::make(int64_t example) const {
  const int64_t document = range_.begin + example;
  SampleContent content;
  content.label = labels_.labels[static_cast<size_t>(document)];
  content.tokens = {cls_};
  int64_t sequence = dataset_.first_sequence(document);
  for (const int64_t length : cut_lengths(document)) {
    const size_t begin = content.tokens.size();
    content.tokens.resize(begin + static_cast<size_t>(length));
    dataset_.copy_tokens(dataset_.sequence_begin(sequence), std::span(content.tokens).subspan(begin),
                         vocab_size_);
    content.tokens.push_back(sep_);
    content.segments.resize(content.tokens.size(),
                            static_cast<int32_t>(sequence - dataset_.first_sequence(document)));
    ++sequence;
  }
  return content;
}

std::string LabelledFile::description() const {
  std::string labels(reinterpret_cast<const char*>(labels_.labels.data()),
                     labels_.labels.size() * sizeof(int32_t));
  for (const std::string& name : labels_.classes) labels += fmt::format("{}:{}", name.size(), name);
  return fmt::format("labelled {} {} from {} to {} seq_length {} cls {} sep {}", dataset_.fingerprint(),
                     xxh3_128_hex(labels), range_.begin, range_.end, seq_length_, cls_, sep_);
}

}  // namespace trireme
