#pragma once

#include <string>

namespace trireme::testing {

// The absolute paths that tests need. One source file knows them, so that the compiler cache serves every
// checkout.

/// The folder tests/ of the sources, without a slash at the end.
std::string test_folder();
/// The command under test.
std::string trireme_binary();

}  // namespace trireme::testing
