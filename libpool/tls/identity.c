/* SPDX-License-Identifier: MIT */
/*
 * identity: from PEMs to what OpenSSL works with, once. Nothing is asked of a terminal, and of what is wrong
 * a sentence says which one it is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "tls.h"

/* What is being loaded, for the sentence if it fails. */
struct loading {
    const char *what, *pem;
    char *text;
    size_t size;
};

static bool is_text(const char *pem)
{
    return strstr(pem, "-----BEGIN ") != NULL;
}

static void say(const struct loading *loading, const char *words)
{
    if (loading->text)
        lpr_say(loading->text, loading->size, words);
}

static int complain(const struct loading *loading, int error, const char *words)
{
    say(loading, loading->what);
    if (loading->pem && !is_text(loading->pem)) {
        say(loading, " ");
        say(loading, loading->pem);
    }
    say(loading, ": ");
    say(loading, words);
    return error;
}

static int open_pem(const struct loading *loading, BIO **bio)
{
    char words[128];
    errno = 0;
    bool text = is_text(loading->pem);
    *bio = text ? BIO_new_mem_buf(loading->pem, -1) : BIO_new_file(loading->pem, "r");
    if (*bio)
        return 0;
    int error = errno ? errno : ENOMEM;
    return complain(loading, -error, strerror_r(error, words, sizeof words));
}

/* An encrypted key is refused: there is nobody to ask. */
static int no_password(char *buffer, int size, int writing, void *arg)
{
    (void)buffer, (void)size, (void)writing, (void)arg;
    return -1;
}

static X509 *next_certificate(BIO *bio)
{
    return PEM_read_bio_X509(bio, NULL, no_password, NULL);
}

/* The end of a PEM, after the last of what it has? Else what follows is damaged. */
static bool is_at_end(void)
{
    unsigned long error = ERR_peek_last_error();
    return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

static int load_chain(libpool_remote_tls *tls, const struct loading *loading, BIO *bio)
{
    X509 *own = next_certificate(bio), *next;
    if (!own)
        return complain(loading, -EINVAL, "a PEM certificate was expected");
    int used = SSL_CTX_use_certificate(tls->context, own);
    X509_free(own);
    if (used != 1)
        return complain(loading, -EINVAL,
                        "OpenSSL does not take the certificate: its key is too weak?");
    while ((next = next_certificate(bio)))
        if (SSL_CTX_add0_chain_cert(tls->context, next) != 1) {
            X509_free(next);
            return complain(loading, -EINVAL,
                            "OpenSSL does not take a certificate that follows the first");
        }
    return is_at_end() ? 0 : complain(loading, -EINVAL, "what follows a certificate is damaged");
}

static int load_certificate(libpool_remote_tls *tls, const struct loading *loading)
{
    BIO *bio;
    int error = open_pem(loading, &bio);
    if (error)
        return error;
    error = load_chain(tls, loading, bio);
    BIO_free(bio);
    tls->certified = !error;
    return error;
}

static int load_key(const libpool_remote_tls *tls, const struct loading *loading)
{
    BIO *bio;
    int error = open_pem(loading, &bio);
    if (error)
        return error;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    BIO_free(bio);
    if (!key)
        return complain(loading, -EINVAL, "a PEM private key was expected, not encrypted");
    bool matches = SSL_CTX_use_PrivateKey(tls->context, key) == 1 &&
                   SSL_CTX_check_private_key(tls->context) == 1;
    EVP_PKEY_free(key);
    return matches ? 0 : complain(loading, -EINVAL, "it is not the certificate's");
}

static bool trust(const libpool_remote_tls *tls, X509 *authority)
{
    return X509_STORE_add_cert(SSL_CTX_get_cert_store(tls->context), authority) == 1 &&
           SSL_CTX_add_client_CA(tls->context, authority) == 1;
}

static int load_authority(libpool_remote_tls *tls, const struct loading *loading)
{
    BIO *bio;
    X509 *next;
    unsigned n = 0;
    int error = open_pem(loading, &bio);
    if (error)
        return error;
    for (; !error && (next = next_certificate(bio)); n++) {
        if (!trust(tls, next))
            error = complain(loading, -ENOMEM, "there is no memory for it");
        X509_free(next);
    }
    if (!error && (!n || !is_at_end()))
        error = complain(loading, -EINVAL,
                         "PEM certificates were expected, and nothing that is damaged");
    BIO_free(bio);
    tls->authority = true;
    return error;
}

static int digit(char c)
{
    const char *digits = "0123456789abcdef", *at;
    if (c >= 'A' && c <= 'F')
        c = (char)(c - 'A' + 'a');
    at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

static bool read_fingerprint(const char *text, unsigned char pin[LPR_TLS_HASH])
{
    unsigned n = 0;
    memset(pin, 0, LPR_TLS_HASH);
    for (; text && *text; text++) {
        int value = digit(*text);
        if (*text == ':')
            continue;
        if (value < 0 || n == 2 * LPR_TLS_HASH)
            return false;
        pin[n / 2] = (unsigned char)(pin[n / 2] << 4 | value);
        n++;
    }
    return n == 2 * LPR_TLS_HASH;
}

static int load_fingerprints(libpool_remote_tls *tls, const libpool_remote_tls_options *options,
                             const struct loading *loading)
{
    if (!options->fingerprints_count)
        return 0;
    tls->pins = calloc(options->fingerprints_count, sizeof *tls->pins);
    if (!tls->pins)
        return -ENOMEM;
    tls->pins_count = options->fingerprints_count;
    for (uint32_t i = 0; i < tls->pins_count; i++)
        if (!read_fingerprint(options->fingerprints[i], tls->pins[i])) {
            char number[32] = "";
            lpr_say_number(number, sizeof number, (int64_t)i + 1);
            say(loading, "fingerprint ");
            say(loading, number);
            say(loading, ": 64 hexadecimal digits were expected, those of a SHA-256");
            return -EINVAL;
        }
    return 0;
}

static int set_up(libpool_remote_tls *tls)
{
    tls->bio = lpr_tls_bio_method();
    tls->context = SSL_CTX_new(TLS_method());
    SSL_CTX *context = tls->context;
    if (!tls->bio || !context || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_max_proto_version(context, 0) != 1 ||
        SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1)
        return -ENOMEM;
    SSL_CTX_set_security_level(context, 2);
    SSL_CTX_set_options(context,
                        SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
    SSL_CTX_clear_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY); /* between two records it is others' turn */
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_cert_verify_callback(context, lpr_tls_judge, tls);
    return 0;
}

int lpr_tls_identity_load(libpool_remote_tls *tls, const libpool_remote_tls_options *options,
                          char *text, size_t size)
{
    struct loading loading = {.text = text, .size = size};
    (void)ERR_set_mark(); /* what OpenSSL notes is not the application's */
    int error = set_up(tls);
    loading.what = "certificate", loading.pem = options->certificate;
    if (!error && loading.pem)
        error = load_certificate(tls, &loading);
    loading.what = "key", loading.pem = options->key;
    if (!error && loading.pem)
        error = load_key(tls, &loading);
    loading.what = "authority", loading.pem = options->authority;
    if (!error && loading.pem)
        error = load_authority(tls, &loading);
    if (!error)
        error = load_fingerprints(tls, options, &loading);
    (void)ERR_pop_to_mark();
    return error;
}

void lpr_tls_identity_free(libpool_remote_tls *tls)
{
    SSL_CTX_free(tls->context);
    BIO_meth_free(tls->bio);
    free(tls->pins);
}
