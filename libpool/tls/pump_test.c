/* SPDX-License-Identifier: MIT */
/* The doors: what they are given is checked, and in sentences; who must not come through does not. */
#include "tls.h"
#include "tls_rig.h"

#include <openssl/err.h>
#include <sys/resource.h>

static int open_as(const libpool_remote_tls_options *options, const char *words)
{
    char text[400] = "left";
    libpool_remote_tls *tls = NULL;
    int error = libpool_remote_tls_open(&tls, options, text, sizeof text);
    CU_ASSERT_TRUE(error < 0 ? tls == NULL : text[0] == 0);
    if (error < 0 && !strstr(text, words)) {
        fprintf(stderr, "told: %d, %s\n", error, text);
        error = -EBADMSG;
    }
    CU_ASSERT_EQUAL(libpool_remote_tls_close(tls, 0), 0);
    return error;
}

static void look_at_pems(const libpool_remote_tls_options *good, const struct person *other)
{
    char damaged[PEM_MAX];
    libpool_remote_tls_options options = *good;
    options.certificate = "/nowhere/certificate.pem";
    CU_ASSERT_EQUAL(open_as(&options, "certificate /nowhere/certificate.pem: No such file"),
                    -ENOENT);
    options.certificate = good->key;
    CU_ASSERT_EQUAL(open_as(&options, "certificate: a PEM certificate was expected"), -EINVAL);
    snprintf(damaged, sizeof damaged, "%s%.200s", good->certificate, good->certificate);
    options.certificate = damaged;
    CU_ASSERT_EQUAL(open_as(&options, "what follows a certificate is damaged"), -EINVAL);
    options.certificate = good->certificate;
    options.key = other->key;
    CU_ASSERT_EQUAL(open_as(&options, "key: it is not the certificate's"), -EINVAL);
    options.key =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    CU_ASSERT_EQUAL(open_as(&options, "not encrypted"), -EINVAL);
    options.key = good->key;
    options.authority = "/dev/null";
    CU_ASSERT_EQUAL(open_as(&options, "authority /dev/null: PEM certificates were expected"),
                    -EINVAL);
}

static void look_at_fingerprints(const libpool_remote_tls_options *good, const struct person *other)
{
    const char *fingerprints[] = {other->fingerprint, "AA:BB"};
    libpool_remote_tls_options options = *good;
    options.fingerprints = fingerprints;
    options.fingerprints_count = 2;
    CU_ASSERT_EQUAL(open_as(&options, "fingerprint 2: 64 hexadecimal digits"), -EINVAL);
    fingerprints[1] = "xA0000000000000000000000000000000000000000000000000000000000000000";
    CU_ASSERT_EQUAL(open_as(&options, "fingerprint 2"), -EINVAL);
    options.fingerprints_count = 1;
    CU_ASSERT_EQUAL(open_as(&options, ""), 0);
    options.fingerprints = NULL;
    CU_ASSERT_EQUAL(open_as(&options, "options"), -EINVAL);
}

TEST(remote_tls, what_it_is_made_of_is_checked)
{
    struct tls_rig rig;
    tls_rig_prepare(&rig);
    libpool_remote_tls_options good = tls_rig_options(&rig), options = good;
    CU_ASSERT_EQUAL(open_as(&good, ""), 0);
    look_at_pems(&good, &rig.client);
    look_at_fingerprints(&good, &rig.client);
    options.authority = NULL;
    CU_ASSERT_EQUAL(open_as(&options, "whom to trust"), -EINVAL);
    options = good;
    options.key = NULL;
    CU_ASSERT_EQUAL(open_as(&options, "certificate and key"), -EINVAL);
    options = good;
    options.flags = 1u << 31;
    CU_ASSERT_EQUAL(open_as(&options, "flags"), -EINVAL);
    CU_ASSERT_EQUAL(open_as(NULL, ""), -EINVAL);
    tls_rig_serve(&rig, 1, NULL, NULL);
    tls_rig_stop(&rig);
}

TEST(remote_tls, pems_may_be_files)
{
    struct tls_rig rig;
    char directory[] = "/tmp/libpool-tls.XXXXXX", certificate[64], key[64];
    tls_rig_prepare(&rig);
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(directory));
    snprintf(certificate, sizeof certificate, "%s/certificate", directory);
    snprintf(key, sizeof key, "%s/key", directory);
    FILE *file = fopen(certificate, "w"), *secret = fopen(key, "w");
    fputs(rig.server.certificate, file);
    fputs(rig.server.key, secret);
    fclose(file);
    fclose(secret);
    libpool_remote_tls_options options = tls_rig_options(&rig);
    options.certificate = certificate;
    options.key = key;
    tls_rig_serve(&rig, 1, NULL, &options);
    libpool_remote *remote = tls_rig_session(&rig);
    CU_ASSERT_TRUE(is_served(remote));
    libpool_remote_close(remote);
    tls_rig_stop(&rig);
    CU_ASSERT_EQUAL(unlink(certificate) + unlink(key) + rmdir(directory), 0);
}

static int try_copy(void *arg)
{
    struct tls_rig *rig = arg;
    libpool_remote *remote;
    return libpool_remote_tls_stop(rig->own) != -ECHILD ||
           libpool_remote_tls_close(rig->own, -1) != -ECHILD ||
           libpool_remote_tls_connect(rig->own, &remote, dup(0), NULL, NULL, NULL, 0) != -ECHILD ||
           libpool_remote_tls_listen(rig->tls, rig->rig.server, 0) != -ECHILD;
}

TEST(remote_tls, a_copy_of_the_process_is_refused_and_disturbs_nothing)
{
    struct tls_rig rig;
    tls_rig_start(&rig);
    libpool_remote *remote = tls_rig_session(&rig);
    CU_ASSERT_EQUAL(hn_test_child(try_copy, &rig, RIG_MS), TEST_EXIT(0));
    CU_ASSERT_TRUE(is_served(remote));
    libpool_remote_close(remote);
    tls_rig_stop(&rig);
}

static int try_in_callback(void *arg, const libpool_remote_tls_peer *peer)
{
    struct tls_rig *rig = arg;
    (void)peer;
    rig->verdict = libpool_remote_tls_stop(rig->tls) == -EDEADLK &&
                   libpool_remote_tls_close(rig->tls, -1) == -EDEADLK;
    return 0;
}

TEST(remote_tls, what_must_not_be_asked_in_a_callback_says_so)
{
    struct tls_rig rig;
    tls_rig_prepare(&rig);
    libpool_remote_tls_options options = tls_rig_options(&rig);
    options.admit = try_in_callback;
    tls_rig_serve(&rig, 1, NULL, &options);
    libpool_remote *remote = tls_rig_session(&rig);
    CU_ASSERT_TRUE(rig.verdict);
    libpool_remote_close(remote);
    tls_rig_stop(&rig);
}

TEST(remote_tls, a_listener_stays_ours_if_it_is_refused)
{
    struct tls_rig rig;
    tls_rig_start(&rig);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    libpool_remote_tls *bare = tls_rig_be(&rig, NULL);
    CU_ASSERT_EQUAL(libpool_remote_tls_listen(rig.tls, rig.rig.server, fd), -EINVAL);
    CU_ASSERT_EQUAL(listen(fd, 1), 0);
    CU_ASSERT_EQUAL(libpool_remote_tls_listen(rig.tls, NULL, fd), -EINVAL);
    CU_ASSERT_EQUAL(libpool_remote_tls_listen(bare, rig.rig.server, fd), -EINVAL);
    CU_ASSERT_EQUAL(libpool_remote_tls_listen(rig.tls, rig.rig.server, rig.listener), -EEXIST);
    CU_ASSERT_EQUAL(libpool_remote_tls_stop(rig.tls), 0);
    CU_ASSERT_EQUAL(libpool_remote_tls_listen(rig.tls, rig.rig.server, fd), -ESHUTDOWN);
    CU_ASSERT_EQUAL(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    CU_ASSERT_EQUAL(close(fd), 0);
    CU_ASSERT_EQUAL(libpool_remote_tls_close(bare, 0), 0);
    tls_rig_stop(&rig);
}

static int as_many_descriptors(void)
{
    int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(lowest);
    return lowest;
}

/* What an epoll descriptor waits for of another one, as its fdinfo tells: -1, it does not know it. */
static int events_of(int info, int fd)
{
    char text[4096];
    unsigned target, events;
    ssize_t n = lseek(info, 0, SEEK_SET) == 0 ? read(info, text, sizeof text - 1) : 0;
    text[n > 0 ? n : 0] = 0;
    for (const char *at = text; (at = strstr(at, "tfd:")); at++)
        if (sscanf(at, "tfd: %u events: %x", &target, &events) == 2 && target == (unsigned)fd)
            return (int)events;
    return -1;
}

/* Whoever is forgotten then might not be taken up again: for that there may be no memory. */
TEST(remote_tls, a_listener_that_pauses_is_not_forgotten)
{
    struct tls_rig rig;
    struct rlimit limit, none;
    char path[64];
    libpool_remote *remote = NULL;
    tls_rig_start(&rig);
    libpool_remote *standing = tls_rig_session(&rig); /* so that all is open */
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", rig.tls->epoll_fd);
    int info = open(path, O_RDONLY | O_CLOEXEC);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL(events_of(info, rig.listener) & EPOLLIN, EPOLLIN);
    CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){.rlim_cur = (rlim_t)as_many_descriptors(), .rlim_max = limit.rlim_max};
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &none), 0);
    CU_ASSERT_EQUAL(connect(fd, (struct sockaddr *)&rig.address, sizeof rig.address), 0);
    CU_ASSERT_TRUE(RIG_AWAIT((events_of(info, rig.listener) & EPOLLIN) == 0));
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
    CU_ASSERT_EQUAL(libpool_remote_tls_connect(rig.own, &remote, fd, NULL, NULL, NULL, 0), 0);
    CU_ASSERT_TRUE(is_served(remote));
    libpool_remote_close(remote);
    libpool_remote_close(standing);
    close(info);
    tls_rig_stop(&rig);
}

/* Of the thread that asks: what it had in its queue, and nothing more. */
TEST(remote_tls, the_applications_errors_of_openssl_stay_its_own)
{
    struct tls_rig rig;
    char host[301], text[256];
    libpool_remote *remote;
    tls_rig_start(&rig);
    memset(host, 'h', sizeof host - 1);
    host[sizeof host - 1] = 0;
    for (int had = 0; had < 2; had++) {
        ERR_clear_error();
        if (had)
            ERR_raise(ERR_LIB_USER, ERR_R_PASSED_INVALID_ARGUMENT);
        unsigned long before = ERR_peek_last_error();
        libpool_remote_tls_options options = tls_rig_options(&rig);
        CU_ASSERT_EQUAL(open_as(&options, ""), 0);
        options.key = "no file";
        CU_ASSERT_EQUAL(open_as(&options, "key no file"), -ENOENT);
        CU_ASSERT_EQUAL(ERR_peek_last_error(), before);
        CU_ASSERT_EQUAL(libpool_remote_tls_connect(rig.own, &remote, tls_rig_dial(&rig), host, NULL,
                                                   text, sizeof text),
                        -EINVAL);
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "host"));
        CU_ASSERT_EQUAL(ERR_get_error(), before);
        CU_ASSERT_EQUAL(ERR_get_error(), 0);
    }
    tls_rig_stop(&rig);
}

TEST(remote_tls, nothing_is_left)
{
    struct tls_rig rig;
    tls_rig_start(&rig); /* what OpenSSL opens once is open now */
    tls_rig_stop(&rig);
    int before = as_many_descriptors();
    for (int i = 0; i < 3; i++) {
        tls_rig_start(&rig);
        libpool_remote *remote = tls_rig_session(&rig);
        int silent = tls_rig_dial(&rig);
        libpool_remote_close(remote);
        tls_rig_stop(&rig);
        close(silent);
    }
    CU_ASSERT_EQUAL(as_many_descriptors(), before);
}
