#pragma once

#include <string>

namespace trireme {

/// A folder that is to be made, without a slash at its end; its parents are made. IoError (exit 73) where it
/// exists already.
std::string new_folder(const std::string& path);

}  // namespace trireme
