#include "launcher/config/config_tree.h"

#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <sstream>

#include "core/text/utf8.h"

namespace trireme {
namespace {

/// Builds the tree from yaml-cpp's events: its own Node hides duplicate keys, tags and second documents.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(std::string origin, bool with_lines, ConfigProblems& problems)
      : origin_(std::move(origin)), with_lines_(with_lines), problems_(problems) {}

  ConfigNode root;

  std::string place(const YAML::Mark& mark) const {
    return with_lines_ ? fmt::format("{}:{}:{}", origin_, mark.line + 1, mark.column + 1) : origin_;
  }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    check(mark, "", anchor);
    add(make(ConfigNode::Kind::kNull, mark));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    problems_.add("{}: aliases (*name) are not supported; use `includes`", place(mark));
    add(make(ConfigNode::Kind::kNull, mark));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    check(mark, tag, anchor);
    ConfigNode node = make(ConfigNode::Kind::kScalar, mark);
    node.text = value;
    node.quoted = tag == "!";
    add(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    check(mark, tag, anchor);
    open_.push_back({make(ConfigNode::Kind::kList, mark), {}, false});
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    check(mark, tag, anchor);
    open_.push_back({make(ConfigNode::Kind::kMap, mark), {}, false});
  }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    ConfigNode node;
    ConfigNode key;  ///< the last key read, while its value is awaited
    bool has_key;
  };

  ConfigNode make(ConfigNode::Kind kind, const YAML::Mark& mark) const {
    ConfigNode node;
    node.kind = kind;
    node.place = place(mark);
    return node;
  }

  void check(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (anchor != 0) problems_.add("{}: anchors (&name) are not supported; use `includes`", place(mark));
    if (!tag.empty() && tag != "?" && tag != "!")
      problems_.add("{}: the tag {} is not supported; the type follows from the key", place(mark), tag);
  }

  void close() {
    ConfigNode node = std::move(open_.back().node);
    open_.pop_back();
    add(std::move(node));
  }

  void add(ConfigNode node) {
    if (open_.empty()) {
      root = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (parent.node.kind == ConfigNode::Kind::kList) {
      parent.node.items.push_back(std::move(node));
    } else if (!parent.has_key) {
      parent.key = std::move(node);
      parent.has_key = true;
    } else {
      parent.has_key = false;
      add_entry(parent.node, parent.key, std::move(node));
    }
  }

  void add_entry(ConfigNode& map, const ConfigNode& key, ConfigNode value) {
    if (key.kind != ConfigNode::Kind::kScalar || key.text.empty()) {
      problems_.add("{}: given {} as a key, expected a name", key.place, describe(key));
    } else if (map.find(key.text)) {
      problems_.add("{}: {}: the key is given twice in one mapping", key.place, key.text);
    } else {
      map.entries.push_back({key.text, key.place, std::move(value)});
    }
  }

  std::string origin_;
  bool with_lines_;
  ConfigProblems& problems_;
  std::vector<Open> open_;
};

}  // namespace

ConfigNode* ConfigNode::find(const std::string& key) {
  for (ConfigEntry& entry : entries)
    if (entry.key == key) return &entry.value;
  return nullptr;
}

void ConfigNode::merge(ConfigNode other) {
  if (kind != Kind::kMap || other.kind != Kind::kMap) {
    *this = std::move(other);
    return;
  }
  for (ConfigEntry& entry : other.entries) {
    ConfigNode* mine = find(entry.key);
    if (!mine) {
      entries.push_back(std::move(entry));
    } else if (!(mine->kind == Kind::kMap && entry.value.kind == Kind::kNull)) {
      mine->merge(std::move(entry.value));  // a section with nothing below it changes nothing
    }
  }
}

ConfigNode parse_config_text(const std::string& text, const std::string& origin, bool with_lines,
                             ConfigProblems& problems) {
  if (valid_utf8_prefix(text) != text.size() || text.find('\0') != std::string::npos) {
    problems.add("{}: given bytes that are not text, expected YAML in UTF-8", origin);
    return {};
  }
  TreeBuilder builder(origin, with_lines, problems);
  std::istringstream stream(text);
  try {
    YAML::Parser parser(stream);
    parser.HandleNextDocument(builder);
    TreeBuilder rest(origin, with_lines, problems);
    if (parser.HandleNextDocument(rest))
      problems.add("{}: a second document starts here; a file holds one",
                   rest.root.place.empty() ? origin : rest.root.place);
  } catch (const YAML::DeepRecursion& error) {
    problems.add("{}: mappings and lists stand too deep in each other", builder.place(error.mark));
    return {};
  } catch (const YAML::Exception& error) {
    problems.add("{}: not valid YAML: {}", builder.place(error.mark), error.msg);
    return {};
  }
  return std::move(builder.root);
}

std::string describe(const ConfigNode& node) {
  switch (node.kind) {
    case ConfigNode::Kind::kNull:
      return "nothing";
    case ConfigNode::Kind::kScalar:
      return node.quoted ? fmt::format("the string \"{}\"", node.text) : node.text;
    case ConfigNode::Kind::kList:
      return "a list";
    case ConfigNode::Kind::kMap:
      return "a mapping";
  }
  return "";
}

}  // namespace trireme
