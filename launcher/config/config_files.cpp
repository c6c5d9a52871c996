// Files, includes and environment variables of a configuration.
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

#include "core/text/utf8.h"
#include "launcher/config/config_tree.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxFileBytes = 1 << 20;
constexpr int kMaxFiles = 100;  ///< includes that include each other twice grow without end

/// Replaces ${NAME} in `text`.
std::string substitute(const std::string& text, const std::string& place, const std::string& key,
                       ConfigProblems& problems) {
  std::string result;
  size_t begin = 0;
  while (true) {
    const size_t open = text.find("${", begin);
    if (open == std::string::npos) return result + text.substr(begin);
    const size_t close = text.find('}', open);
    if (close == std::string::npos) {
      problems.add("{}: {}: given {}, expected a closing brace after ${{", place, key, text);
      return text;
    }
    const std::string name = text.substr(open + 2, close - open - 2);
    if (name.empty()) {
      problems.add("{}: {}: given {}, expected the name of a variable between the braces", place, key, text);
      return text;
    }
    const char* value = std::getenv(name.c_str());
    if (value && valid_utf8_prefix(value) != std::strlen(value))
      problems.add("{}: {}: the environment variable {} is not UTF-8", place, key, name);
    if (!value)
      problems.add("{}: {}: the environment variable {} is not set; export it or write the value", place, key,
                   name);
    result += text.substr(begin, open - begin) + (value ? value : "");
    begin = close + 1;
  }
}

class FileLoader {
 public:
  explicit FileLoader(ConfigProblems& problems) : problems_(problems) {}

  ConfigNode load(const fs::path& path, const std::string& named_at) {
    const std::string where = named_at.empty() ? "" : named_at + ": includes: ";
    std::error_code error;
    const fs::path canonical = fs::weakly_canonical(path, error);
    for (const fs::path& open : open_) {
      if (open == canonical) {
        problems_.add("{}{} includes itself; take one include away", where, path.string());
        return {};
      }
    }
    if (++num_files_ == kMaxFiles + 1)
      problems_.add("{}given more than {} files, expected fewer", where, kMaxFiles);
    if (num_files_ > kMaxFiles) return {};
    const std::optional<std::string> text = read(path, where);
    if (!text) return {};

    open_.push_back(canonical);
    ConfigNode own = parse_config_text(*text, path.string(), true, problems_);
    substitute_environment(own, "", problems_);
    ConfigNode merged = merge_includes(own, path);
    open_.pop_back();
    return merged;
  }

 private:
  std::optional<std::string> read(const fs::path& path, const std::string& where) {
    std::error_code error;
    if (!fs::exists(path, error)) {
      problems_.add("{}{}: no such file; give the path of a run file", where, path.string());
      return std::nullopt;
    }
    if (!fs::is_regular_file(path, error) && !fs::is_character_file(path, error)) {
      problems_.add("{}{}: given something that is not a file, expected a YAML file", where, path.string());
      return std::nullopt;
    }
    std::ifstream stream(path, std::ios::binary);
    if (!stream) {
      problems_.add("{}{}: cannot be read; check its permissions", where, path.string());
      return std::nullopt;
    }
    std::string text(kMaxFileBytes + 1, '\0');
    stream.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<size_t>(stream.gcount()));
    if (text.size() <= kMaxFileBytes) return text;
    problems_.add("{}{}: too large, expected a run file of at most {} bytes", where, path.string(),
                  kMaxFileBytes);
    return std::nullopt;
  }

  /// Takes `includes` out of `own` and gives the included files with `own` on top.
  ConfigNode merge_includes(ConfigNode& own, const fs::path& path) {
    ConfigNode result;
    result.kind = ConfigNode::Kind::kMap;
    result.place = own.place;
    if (own.kind == ConfigNode::Kind::kNull) return result;
    if (own.kind != ConfigNode::Kind::kMap) {
      problems_.add("{}: given {}, expected sections such as `model:`", own.place, describe(own));
      return result;
    }
    if (ConfigNode* includes = own.find("includes")) {
      if (includes->kind != ConfigNode::Kind::kList)
        problems_.add("{}: includes: given {}, expected a list of files", includes->place,
                      describe(*includes));
      for (const ConfigNode& item : includes->items) {
        if (item.kind != ConfigNode::Kind::kScalar) {
          problems_.add("{}: includes: given {}, expected a file", item.place, describe(item));
          continue;
        }
        ConfigNode included = load(path.parent_path() / item.text, item.place);
        if (included.kind == ConfigNode::Kind::kMap) result.merge(std::move(included));
      }
      std::erase_if(own.entries, [](const ConfigEntry& entry) { return entry.key == "includes"; });
    }
    result.merge(std::move(own));
    return result;
  }

  ConfigProblems& problems_;
  std::vector<fs::path> open_;  ///< the chain of files being read
  int num_files_ = 0;
};

}  // namespace

void substitute_environment(ConfigNode& node, const std::string& key, ConfigProblems& problems) {
  if (node.kind == ConfigNode::Kind::kScalar) {
    node.text = substitute(node.text, node.place, key, problems);
    return;
  }
  for (ConfigNode& item : node.items) substitute_environment(item, key, problems);
  for (ConfigEntry& entry : node.entries)
    substitute_environment(entry.value, key.empty() ? entry.key : key + "." + entry.key, problems);
}

ConfigNode load_config_tree(const std::string& path, ConfigProblems& problems) {
  return FileLoader(problems).load(path, "");
}

}  // namespace trireme
