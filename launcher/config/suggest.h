#pragma once

#include <string>
#include <vector>

namespace trireme {

/// The number of insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`
/// (optimal string alignment).
int edit_distance(const std::string& a, const std::string& b);

/// The full key ("data.seq_length") a person most likely meant by `key` ("model.seq_length", "seq_lenght"),
/// or "" when nothing is near. The same leaf in another section beats a similar leaf in the same one.
std::string nearest_key(const std::string& key, const std::vector<std::string>& known);

}  // namespace trireme
