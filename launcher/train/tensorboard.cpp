#include "launcher/train/tensorboard.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>

#include "core/base/host.h"
#include "core/io/directory.h"
#include "event.pb.h"
#include "launcher/train/crc32c.h"

namespace trireme {
namespace {

double wall_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// `size` low bytes of `value`, little-endian.
std::string little_endian(uint64_t value, int size) {
  std::string bytes;
  for (int i = 0; i < size; ++i) bytes.push_back(static_cast<char>(value >> (8 * i)));
  return bytes;
}

std::string new_event_file(const std::string& folder) {
  io::make_directories(folder);
  return fmt::format("{}/events.out.tfevents.{:010}.{}.{}", folder, static_cast<int64_t>(wall_time()),
                     host_name(), getpid());
}

}  // namespace

TensorBoardWriter::TensorBoardWriter(const std::string& folder, int64_t last_step)
    : file_(new_event_file(folder)) {
  tensorboard::Event event;
  event.set_wall_time(wall_time());
  event.set_file_version("brain.Event:2");
  write_record(event.SerializeAsString());
  event.set_step(last_step + 1);
  event.mutable_session_log()->set_status(1);
  write_record(event.SerializeAsString());
}

void TensorBoardWriter::write(int64_t step, const std::vector<std::pair<std::string, double>>& scalars) {
  tensorboard::Event event;
  event.set_wall_time(wall_time());
  event.set_step(step);
  for (const auto& [tag, number] : scalars) {
    tensorboard::Value& value = *event.mutable_summary()->add_value();
    value.set_tag(tag);
    value.set_simple_value(static_cast<float>(number));
  }
  write_record(event.SerializeAsString());
}

void TensorBoardWriter::write_record(const std::string& data) {
  const std::string length = little_endian(data.size(), 8);
  file_.write(length + little_endian(masked_crc32c(length), 4) + data +
              little_endian(masked_crc32c(data), 4));
}

}  // namespace trireme
