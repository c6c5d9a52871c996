#pragma once

#include <hdf5.h>

#include <string>
#include <utility>

namespace trireme::io {

/// IoError with the innermost message of HDF5's error stack.
[[noreturn]] void throw_hdf5(const std::string& action);

/// `call` is negative on failure.
template <class Status>
Status check_hdf5(Status status, const char* action) {
  if (status < 0) throw_hdf5(action);
  return status;
}

/// Owner of one HDF5 identifier.
class Hdf5Handle {
 public:
  using Close = herr_t (*)(hid_t);
  Hdf5Handle(hid_t id, Close close, const char* action) : id_(check_hdf5(id, action)), close_(close) {}
  Hdf5Handle(Hdf5Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Hdf5Handle& operator=(Hdf5Handle&&) = delete;
  ~Hdf5Handle() {
    if (id_ >= 0) close_(id_);
  }
  operator hid_t() const { return id_; }
  /// Reports what the destructor could not.
  void close(const char* action) { check_hdf5(close_(std::exchange(id_, -1)), action); }

 private:
  hid_t id_;
  Close close_;
};

}  // namespace trireme::io
