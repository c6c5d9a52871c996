#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace trireme {

/// A TensorBoard Event (tensorflow/core/util/event.proto) in protobuf's wire format, which is this simple: a
/// field is its number and wire type as a varint, then a varint, 4 or 8 little-endian bytes, or a length and
/// so many bytes. Written here because libsentencepiece carries a protobuf of its own that a process cannot
/// hold beside libprotobuf.
///
///   Event { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5;
///           SessionLog session_log = 7; }
///   Summary { repeated Value value = 1; }   Value { string tag = 1; float simple_value = 2; }
///   SessionLog { Status status = 1; }       START = 1: what earlier files hold of this step and later is
///   void
std::string file_version_event(double wall_time, const std::string& version);
std::string session_start_event(double wall_time, int64_t step);
std::string scalars_event(double wall_time, int64_t step,
                          const std::vector<std::pair<std::string, double>>& scalars);

}  // namespace trireme
