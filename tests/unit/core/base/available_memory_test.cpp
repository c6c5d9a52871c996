#include "core/base/available_memory.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/support/run_program.h"

namespace trireme {
namespace {

using testing::TemporaryFolder;

constexpr const char* kMeminfo =
    "MemTotal:  9000 kB\nMemFree:  10 kB\nMemAvailable:  1000 kB\nBuffers: 1 kB\n";
constexpr int64_t kAvailable = 1000 * 1024;

TEST(AvailableMemory, IsWhatTheKernelSaysWithoutControlGroups) {
  const TemporaryFolder root;
  EXPECT_EQ(available_memory(root.path()), std::numeric_limits<int64_t>::max());
  root.write("proc/meminfo", kMeminfo);
  EXPECT_EQ(available_memory(root.path()), kAvailable);
  EXPECT_GT(available_memory(), 0);
}

TEST(AvailableMemory, IsTheLeastThatAGroupOfVersion2OrOneAboveItHasLeft) {
  const TemporaryFolder root;
  root.write("proc/meminfo", kMeminfo);
  root.write("proc/self/cgroup", "0::/job/step\n");
  root.write("sys/fs/cgroup/job/step/memory.max", "max\n");
  root.write("sys/fs/cgroup/job/step/memory.current", "70000\n");
  EXPECT_EQ(available_memory(root.path()), kAvailable);
  root.write("sys/fs/cgroup/job/memory.max", "90000\n");
  root.write("sys/fs/cgroup/job/memory.current", "75000\n");
  EXPECT_EQ(available_memory(root.path()), 15000);
  // The kernel gives back pages of files, not those of shared memory.
  root.write("sys/fs/cgroup/job/memory.stat",
             "anon 1\nfile 50000\nshmem 9\ninactive_file 2000\nactive_file 300\n");
  EXPECT_EQ(available_memory(root.path()), 17300);
  root.write("sys/fs/cgroup/job/step/memory.max", "70001\n");
  EXPECT_EQ(available_memory(root.path()), 1);
  root.write("sys/fs/cgroup/job/step/memory.max", "60000\n");
  EXPECT_EQ(available_memory(root.path()), 0);
}

TEST(AvailableMemory, IsTheLeastThatAGroupOfVersion1HasLeft) {
  const TemporaryFolder root;
  root.write("proc/meminfo", kMeminfo);
  root.write("proc/self/cgroup",
             "5:cpu,cpuacct:/other\n4:memory:/docker/0123\n1:name=systemd:/docker/0123\n0::/\n");
  // In a container the host's path of the group is not there: its own is the topmost.
  root.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  root.write("sys/fs/cgroup/memory/memory.usage_in_bytes", "70000\n");
  EXPECT_EQ(available_memory(root.path()), kAvailable);
  root.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "100000\n");
  root.write("sys/fs/cgroup/memory/memory.stat",
             "inactive_file 9\ntotal_inactive_file 500\ntotal_active_file 60\n");
  EXPECT_EQ(available_memory(root.path()), 30560);
  root.write("sys/fs/cgroup/memory/docker/0123/memory.limit_in_bytes", "80000\n");
  root.write("sys/fs/cgroup/memory/docker/0123/memory.usage_in_bytes", "60000\n");
  EXPECT_EQ(available_memory(root.path()), 20000);
}

TEST(AvailableMemory, OfAGroupOutsideTheOnesThatAreSeenIsNoError) {
  const TemporaryFolder root;
  root.write("proc/meminfo", kMeminfo);
  for (const char* group : {"0::/../../elsewhere\n", "0::/gone (deleted)\n", "0::/\n", "garbage", ""}) {
    root.write("proc/self/cgroup", group);
    EXPECT_EQ(available_memory(root.path()), kAvailable) << group;
  }
}

}  // namespace
}  // namespace trireme
