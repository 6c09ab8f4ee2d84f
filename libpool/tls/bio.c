/* SPDX-License-Identifier: MIT */
/*
 * bio: OpenSSL's way to the network. Its own would raise SIGPIPE, and would go on reading for as long as a
 * peer sends: here one step is over after so many bytes.
 */
#include <errno.h>
#include <sys/socket.h>

#include "tls.h"

static bool is_passing(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

static int read_some(BIO *bio, char *bytes, int size)
{
    struct lpr_tls_line *line = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (!line || size <= 0)
        return -1;
    size_t wanted = (size_t)size < line->budget ? (size_t)size : line->budget;
    if (!wanted) { /* there may be more: epoll tells of it again */
        BIO_set_retry_read(bio);
        return -1;
    }
    ssize_t n = recv(line->net.fd, bytes, wanted, MSG_DONTWAIT);
    if (n < 0 && is_passing(errno))
        BIO_set_retry_read(bio);
    if (n == 0)
        BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    if (n > 0)
        line->budget -= (size_t)n;
    return (int)n;
}

static int write_some(BIO *bio, const char *bytes, int size)
{
    const struct lpr_tls_line *line = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (!line || size <= 0)
        return -1;
    ssize_t n = send(line->net.fd, bytes, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && is_passing(errno))
        BIO_set_retry_write(bio);
    return (int)n;
}

static long control(BIO *bio, int command, long number, void *pointer)
{
    (void)number, (void)pointer;
    if (command == BIO_CTRL_EOF)
        return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    return command == BIO_CTRL_FLUSH;
}

static int create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

BIO_METHOD *lpr_tls_bio_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "libpool");
    if (!method)
        return NULL;
    BIO_meth_set_read(method, read_some);
    BIO_meth_set_write(method, write_some);
    BIO_meth_set_ctrl(method, control);
    BIO_meth_set_create(method, create);
    return method;
}
