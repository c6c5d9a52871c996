#include "launcher/train/metrics_file.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "core/base/file.h"

namespace trireme {
namespace {

bool belongs(const std::string& line, int64_t last_step) {
  const nlohmann::json object = nlohmann::json::parse(line, nullptr, false);
  if (!object.is_object()) return false;
  const auto step = object.find("step");
  return step != object.end() && step->is_number_integer() && step->get<int64_t>() <= last_step;
}

/// The file at `path`, without what follows `last_step`; returns the path.
const std::string& cut(const std::string& path, int64_t last_step) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream || std::filesystem::is_directory(path)) return path;
  const std::string text(std::istreambuf_iterator<char>(stream), {});
  std::string kept;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;
    const std::string line = text.substr(begin, end - begin);
    if (belongs(line, last_step)) kept += line + '\n';
    begin = end + 1;
  }
  if (kept != text) replace_file(path, kept);
  return path;
}

}  // namespace

MetricsFile::MetricsFile(const std::string& path, int64_t last_step) : file_(cut(path, last_step)) {}

void MetricsFile::write(const std::string& json_line) {
  file_.write(json_line + '\n');
}

}  // namespace trireme
