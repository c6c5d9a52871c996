#pragma once

#include <string>
#include <vector>

#include "launcher/config/problems.h"

namespace trireme {

struct ConfigEntry;

/// A YAML document before anybody knows its types: scalars stay text. Every node knows where it was written.
struct ConfigNode {
  enum class Kind { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  std::string text;     ///< of a scalar
  bool quoted = false;  ///< a scalar in quotes is a string whatever it looks like
  std::string place;    ///< "run.yaml:3:5" or "--set optimizer.lr"
  std::vector<ConfigNode> items;
  std::vector<ConfigEntry> entries;

  ConfigNode* find(const std::string& key);
  /// Mappings merge key by key; anything else is replaced by `other`, which wins.
  void merge(ConfigNode other);
};

struct ConfigEntry {
  std::string key;
  std::string place;
  ConfigNode value;
};

/// One YAML document from text. `origin` is what places are named after; `with_lines` adds ":line:column".
/// Duplicate keys, keys that are no names, tags, anchors and a second document are problems. A document that
/// cannot be parsed at all gives null and a problem.
ConfigNode parse_config_text(const std::string& text, const std::string& origin, bool with_lines,
                             ConfigProblems& problems);

/// The tree of a run file: `includes` (paths relative to the file that names them) are loaded first and
/// merged in order, the file itself wins; `${NAME}` in scalars becomes the environment variable. A file that
/// cannot be read, a cycle of includes and an unset variable are problems.
ConfigNode load_config_tree(const std::string& path, ConfigProblems& problems);

/// Replaces `${NAME}` in every scalar below `node`, whose key is `key`; an unset variable is a problem.
void substitute_environment(ConfigNode& node, const std::string& key, ConfigProblems& problems);

/// How a message shows what was given.
std::string describe(const ConfigNode& node);

}  // namespace trireme
