#include "tests/support/paths.h"

namespace trireme::testing {

std::string test_folder() {
  return TRIREME_TEST_FOLDER;
}

std::string trireme_binary() {
  return TRIREME_BINARY;
}

}  // namespace trireme::testing
