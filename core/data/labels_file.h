#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace trireme {

/// What each example of a classification data set belongs to. Its file is JSON:
///   {"type": "trireme-labels", "version": 1, "classes": ["negative", "positive"], "labels": [1, 0, ...]}
/// labels[i] is the class of document i of the data set, as an index into classes.
struct Labels {
  std::vector<std::string> classes;  ///< names, each once, at least one
  std::vector<int32_t> labels;
};

/// PREFIX.labels
std::string labels_path(const std::string& prefix);

/// Reads and checks an untrusted file. Throws DataError naming the file and the place.
Labels read_labels(const std::string& path);
/// The file appears complete or not at all. Throws IoError.
void write_labels(const std::string& path, const Labels& labels);

}  // namespace trireme
