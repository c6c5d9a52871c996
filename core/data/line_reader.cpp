#include "core/data/line_reader.h"

#include <fmt/format.h>
#include <zlib.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "core/base/error.h"
#include "core/base/file.h"

namespace trireme {
namespace {

constexpr size_t kBufferSize = 1 << 18;
constexpr size_t kLongestLine = size_t{1} << 30;

}  // namespace

struct LineReader::State {
  explicit State(const std::string& file)
      : path(file), stream(gzopen(file.c_str(), "rbe")), buffer(kBufferSize) {
    if (stream == nullptr)
      throw DataError(fmt::format("{}: cannot be opened: {}", path, last_system_error()));
  }
  ~State() { gzclose(stream); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  /// False at the end of the file.
  bool fill() {
    const int count = gzread(stream, buffer.data(), static_cast<unsigned>(buffer.size()));
    int error = Z_OK;
    const char* message = gzerror(stream, &error);
    if (error == Z_ERRNO) throw IoError(fmt::format("{}: reading failed: {}", path, last_system_error()));
    // At the end of a packed file that was cut off, zlib gives what there is and says so here.
    if (count < 0 || error != Z_OK) throw DataError(fmt::format("{}: cannot be unpacked: {}", path, message));
    begin = 0;
    end = static_cast<size_t>(count);
    return count > 0;
  }

  std::string path;
  gzFile stream;
  std::vector<char> buffer;
  size_t begin = 0, end = 0;  ///< what is in the buffer and not yet given
  int64_t line_number = 0;
  int64_t bytes_read = 0;
};

LineReader::LineReader(const std::string& path) : state_(std::make_unique<State>(path)) {}
LineReader::~LineReader() = default;
LineReader::LineReader(LineReader&&) noexcept = default;
LineReader& LineReader::operator=(LineReader&&) noexcept = default;

bool LineReader::next(std::string& line) {
  State& state = *state_;
  line.clear();
  bool any = false;
  while (state.begin < state.end || state.fill()) {
    any = true;
    const char* begin = state.buffer.data() + state.begin;
    const auto* found = static_cast<const char*>(std::memchr(begin, '\n', state.end - state.begin));
    const size_t length = found != nullptr ? static_cast<size_t>(found - begin) : state.end - state.begin;
    line.append(begin, length);
    state.begin += length + (found != nullptr ? 1 : 0);
    if (line.size() > kLongestLine)
      throw DataError(
          fmt::format("{}:{}: the line is longer than 2^30 bytes", state.path, state.line_number + 1));
    if (found != nullptr) break;
  }
  if (!any) return false;
  ++state.line_number;
  state.bytes_read += static_cast<int64_t>(line.size()) + 1;
  if (line.ends_with('\r')) line.pop_back();
  return true;
}

std::string LineReader::rest() {
  std::string text;
  do {
    text.append(state_->buffer.data() + state_->begin, state_->end - state_->begin);
  } while (state_->fill());
  return text;
}

int64_t LineReader::bytes_read() const {
  return state_->bytes_read;
}

std::string LineReader::place() const {
  return fmt::format("{}:{}", state_->path, state_->line_number);
}

std::string read_text(const std::string& path) {
  if (!path.ends_with(".gz")) return read_file(path);
  return LineReader(path).rest();
}

}  // namespace trireme
