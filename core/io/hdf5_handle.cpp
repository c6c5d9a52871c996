#include "core/io/hdf5_handle.h"

#include <fmt/format.h>

#include "core/base/error.h"

namespace trireme::io {
namespace {

herr_t keep_first_description(unsigned position, const H5E_error2_t* error, void* text) {
  if (position == 0) *static_cast<std::string*>(text) = error->desc == nullptr ? "" : error->desc;
  return 0;
}

}  // namespace

void throw_hdf5(const std::string& action) {
  std::string description;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_first_description, &description);
  throw IoError(fmt::format("HDF5 cannot {}: {}", action, description));
}

}  // namespace trireme::io
