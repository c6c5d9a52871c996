#include "launcher/train/tensorboard.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>

#include "core/base/host.h"
#include "core/io/directory.h"
#include "launcher/train/crc32c.h"
#include "launcher/train/event_message.h"

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
  write_record(file_version_event(wall_time(), "brain.Event:2"));
  write_record(session_start_event(wall_time(), last_step + 1));
}

void TensorBoardWriter::write(int64_t step, const std::vector<std::pair<std::string, double>>& scalars) {
  write_record(scalars_event(wall_time(), step, scalars));
}

void TensorBoardWriter::write_record(const std::string& data) {
  const std::string length = little_endian(data.size(), 8);
  file_.write(length + little_endian(masked_crc32c(length), 4) + data +
              little_endian(masked_crc32c(data), 4));
}

}  // namespace trireme
