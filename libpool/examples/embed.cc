/* SPDX-License-Identifier: MIT */
/*
 * The same from C++: a task is a function without an exception that gets out, a future a unique_ptr.
 * c++ embed.cc $(pkg-config --cflags --libs libpool)
 */
#include <libpool.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

namespace
{

struct Close {
    void operator()(libpool *pool) const
    {
        libpool_close(pool);
    }
    void operator()(libpool_future *future) const
    {
        libpool_future_free(future);
    }
};

using Pool = std::unique_ptr<libpool, Close>;
using Future = std::unique_ptr<libpool_future, Close>;

extern "C" int add_up(libpool_worker *worker, const void *input, size_t size)
{
    const int *numbers = static_cast<const int *>(input);
    long sum = 0;
    for (size_t i = 0; i < size / sizeof *numbers; i++)
        sum += numbers[i];
    return libpool_reply(worker, &sum, sizeof sum);
}

extern "C" int crash(libpool_worker *, const void *, size_t)
{
    std::abort();
}

Pool open_pool()
{
    libpool *pool = nullptr;
    libpool_options options = libpool_options();
    options.size = sizeof options;
    options.max_workers = 2;
    libpool_open(&pool, &options);
    return Pool(pool);
}

Future submit(const Pool &pool, libpool_task_function *function, const void *input, size_t size)
{
    libpool_future *future = nullptr;
    libpool_task task = libpool_task();
    task.size = sizeof task;
    task.function = function;
    task.input = input;
    task.input_size = size;
    libpool_submit(pool.get(), &task, -1, &future);
    return Future(future);
}

const libpool_result *result_of(const Future &future)
{
    return libpool_future_wait(future.get(), -1) == 0 ? libpool_future_result(future.get()) : nullptr;
}

} // namespace

int main()
{
    const int numbers[] = {20, 21, 1};
    Pool pool = open_pool();
    Future crashed = submit(pool, crash, nullptr, 0);
    Future sum = submit(pool, add_up, numbers, sizeof numbers);
    const libpool_result *bad = result_of(crashed), *good = result_of(sum);
    if (!bad || !good || bad->cause != LIBPOOL_CRASH || good->cause != LIBPOOL_COMPLETED)
        return 1;
    std::printf("%s: %s\nthe sum is %ld\n", libpool_cause_name(bad->cause), bad->text,
                *static_cast<const long *>(good->data));
    return *static_cast<const long *>(good->data) == 42 ? 0 : 1;
}
