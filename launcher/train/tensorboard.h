#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "launcher/train/append_file.h"

namespace trireme {

/// Writes scalars into a new TensorBoard event file: TFRecords (length, masked CRC-32C of it, data, masked
/// CRC-32C of that) of Event messages (event_message.h), the first with file_version "brain.Event:2". Each
/// record is one write, so a crash loses at most the last.
class TensorBoardWriter {
 public:
  /// Makes `folder` and a file in it named as TensorBoard expects, and voids what earlier files say of steps
  /// after `last_step`. Throws IoError (exit 73).
  TensorBoardWriter(const std::string& folder, int64_t last_step);

  void write(int64_t step, const std::vector<std::pair<std::string, double>>& scalars);
  const std::string& path() const { return file_.path(); }

 private:
  void write_record(const std::string& data);

  AppendFile file_;
};

}  // namespace trireme
