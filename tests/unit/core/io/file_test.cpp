#include "core/io/file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <filesystem>

#include "core/base/error.h"
#include "core/io/digest.h"
#include "core/io/directory.h"
#include "core/io/directory_lock.h"
#include "tests/support/run_program.h"

namespace trireme::io {
namespace {

using ::testing::HasSubstr;

template <class Call>
IoError error_of(Call&& call) {
  try {
    call();
  } catch (const IoError& error) {
    return error;
  }
  return IoError("nothing was thrown", ExitCode::kOk);
}

TEST(IoFile, ReadsBackWhatItWrote) {
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() / "a";
  write_new_file(path, "some bytes");
  EXPECT_EQ(read_file(path, 100), "some bytes");
  EXPECT_EQ(list_directory(folder.path()), std::vector<std::string>{"a"});
}

TEST(IoFile, ErrorsNameFileAndCause) {
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() / "a";
  EXPECT_THAT(error_of([&] { read_file(path, 1); }).what(),
              HasSubstr("cannot open '" + path + "': No such file or directory (errno 2)"));
  write_new_file(path, "0123456789");
  EXPECT_THAT(error_of([&] { write_new_file(path, ""); }).what(), HasSubstr("File exists"));
  EXPECT_THAT(error_of([&] { read_file(path, 9); }).what(), HasSubstr("has 10 bytes; at most 9"));
  std::byte bytes[8];
  EXPECT_THAT(error_of([&] { File::open_to_read(path).read_at(5, bytes); }).what(), HasSubstr("ends at 10"));
}

TEST(IoFile, RefusesLinksPipesAndFolders) {
  const testing::TemporaryFolder folder;
  const std::string file = folder.path() / "file", link = folder.path() / "link",
                    pipe = folder.path() / "pipe";
  write_new_file(file, "x");
  std::filesystem::create_symlink(file, link);
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  for (const std::string& path : {link, pipe, folder.path().string()})
    EXPECT_THROW(read_file(path, 10), IoError) << path;
}

TEST(IoDirectory, RenameNeverReplaces) {
  const testing::TemporaryFolder folder;
  const std::string from = folder.path() / "from", to = folder.path() / "to";
  make_directory(from);
  make_directory(to);  // empty: a plain rename would replace it
  EXPECT_THAT(error_of([&] { rename_to_new(from, to); }).what(), HasSubstr("File exists"));
  remove_directory(to);
  rename_to_new(from, to);
  EXPECT_EQ(list_directory(folder.path()), std::vector<std::string>{"to"});
}

/// From now on the kernel answers this process like a file system that cannot refuse to replace: EINVAL.
bool forbid_renameat2() {
  sock_filter program[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                           BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_renameat2, 0, 1),
                           BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
                           BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog filter = {std::size(program), program};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

TEST(IoDirectory, RenameNeverReplacesWhereTheFileSystemCannotRefuseItself) {
  const testing::TemporaryFolder folder;
  const std::string from = folder.path() / "from", to = folder.path() / "to";
  const std::string taken = folder.path() / "taken";
  for (const std::string& path : {from, taken}) make_directory(path);
  const pid_t child = ::fork();
  if (child == 0) {
    if (!forbid_renameat2()) ::_exit(77);
    const std::string refused = error_of([&] { rename_to_new(from, taken); }).what();
    if (refused.find("File exists") == std::string::npos) ::_exit(1);
    rename_to_new(from, to);
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "this kernel has no seccomp filters";
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(list_directory(folder.path()), (std::vector<std::string>{"taken", "to"}));
}

TEST(IoDirectory, TemporaryOnesVanishUnlessCommitted) {
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() / ".tmp-a", final_path = folder.path() / "a";
  {
    TemporaryDirectory directory(path);
    write_new_file(path + "/file", "x");
  }
  EXPECT_TRUE(list_directory(folder.path()).empty());
  {
    TemporaryDirectory directory(path);
    write_new_file(path + "/file", "x");
    directory.commit(final_path);
  }
  EXPECT_EQ(read_file(final_path + "/file", 1), "x");
}

TEST(IoDirectoryLock, ASecondHolderIsRefusedWithTheNameOfTheFirst) {
  const testing::TemporaryFolder folder;
  {
    const DirectoryLock first(folder.path(), "run first host a pid 7");
    const IoError error = error_of([&] { DirectoryLock(folder.path(), "run second"); });
    EXPECT_EQ(error.exit_code(), ExitCode::kCannotCreate);
    EXPECT_THAT(error.what(), HasSubstr("in use by another job (run first host a pid 7)"));
  }
  DirectoryLock(folder.path(), "run third");
}

TEST(IoDigest, AgreesWithTheReferenceValues) {
  EXPECT_EQ(digest_of(std::string()),
            "99aa06d3014798d86001c324468d497f");  // XXH3-128 of nothing, its authors'
  const std::string text = "twelve bytes";
  Digest digest;
  digest.update(std::as_bytes(std::span(text.data(), 5)));
  digest.update(std::as_bytes(std::span(text.data() + 5, 7)));
  EXPECT_EQ(digest.hex(), digest_of(text));
}

}  // namespace
}  // namespace trireme::io
