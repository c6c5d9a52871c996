#include "launcher/train/event_message.h"

#include <cstring>

namespace trireme {
namespace {

/// Builds one message, field by field.
class Message {
 public:
  Message& number(int field, int64_t value) {
    tag(field, kVarint);
    varint(static_cast<uint64_t>(value));
    return *this;
  }
  Message& number(int field, double value) { return fixed(field, kEightBytes, value); }
  Message& number(int field, float value) { return fixed(field, kFourBytes, value); }
  Message& text(int field, const std::string& value) {
    tag(field, kBytes);
    varint(value.size());
    bytes_ += value;
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  enum WireType { kVarint = 0, kEightBytes = 1, kBytes = 2, kFourBytes = 5 };

  void tag(int field, WireType type) { varint(static_cast<uint64_t>(field) << 3 | type); }
  void varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_.push_back(static_cast<char>(value | 0x80));
    bytes_.push_back(static_cast<char>(value));
  }
  template <class T>
  Message& fixed(int field, WireType type, T value) {
    tag(field, type);
    char raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof(T));  // of a little-endian machine
    bytes_.append(raw, sizeof(T));
    return *this;
  }

  std::string bytes_;
};

}  // namespace

std::string file_version_event(double wall_time, const std::string& version) {
  return Message().number(1, wall_time).text(3, version).bytes();
}

std::string session_start_event(double wall_time, int64_t step) {
  const Message log = Message().number(1, int64_t{1});
  return Message().number(1, wall_time).number(2, step).text(7, log.bytes()).bytes();
}

std::string scalars_event(double wall_time, int64_t step,
                          const std::vector<std::pair<std::string, double>>& scalars) {
  Message summary;
  for (const auto& [tag, value] : scalars)
    summary.text(1, Message().text(1, tag).number(2, static_cast<float>(value)).bytes());
  return Message().number(1, wall_time).number(2, step).text(5, summary.bytes()).bytes();
}

}  // namespace trireme
