#include "core/base/error.h"

#include <gtest/gtest.h>

#include "core/base/check.h"

namespace trireme {
namespace {

TEST(Errors, CarryTheExitCodeOfTheirKind) {
  EXPECT_EQ(ConfigError("x").exit_code(), ExitCode::kUsage);
  EXPECT_EQ(DataError("x").exit_code(), ExitCode::kBadData);
  EXPECT_EQ(CheckpointError("x").exit_code(), ExitCode::kBadData);
  EXPECT_EQ(ShapeError("x").exit_code(), ExitCode::kInternal);
  EXPECT_EQ(DeviceError("x").exit_code(), ExitCode::kDevice);
  EXPECT_EQ(CommError("x", ExitCode::kWatchdog).exit_code(), ExitCode::kWatchdog);
  EXPECT_EQ(IoError("x").exit_code(), ExitCode::kInputOutput);
}

TEST(Assertions, SayWhereWhatAndThatItIsOurBug) {
  try {
    TRIREME_ASSERT(1 + 1 == 3, "arithmetic");
    FAIL();
  } catch (const InternalError& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("error_test.cpp"), std::string::npos);
    EXPECT_NE(message.find("arithmetic (1 + 1 == 3); please report it"), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace trireme
