/* Records as bytes: what is written, and that every damage is noticed. */
#include "samples.h"
#include <zlib.h>
#include "base/random.h"
#include "base/text.h"

static size_t header_length(const unsigned char *bytes)
{
    return (size_t)bytes[0] | (size_t)bytes[1] << 8 | (size_t)bytes[2] << 16 | (size_t)bytes[3] << 24;
}

/* The very bytes, so that no change of ours or of a library's goes unseen. */
static void test_bytes_are_canonical(void **state)
{
    (void)state;
    static const char want[] = "{\"__metadata__\":{\"crc32\":\"........\",\"format\":\"resq "
                               "1\",\"kind\":\"model\",\"note\":\"a \\\"quoted\\\" "
                               "\\\\ word, \xc3\xa9\\n\\ttab, \\\"crc32\\\":\\\"00000000\\\"\"},"
                               "\"scalar\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]},"
                               "\"matrix\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[8,32]},"
                               "\"empty\":{\"dtype\":\"F32\",\"shape\":[0,3],\"data_offsets\":[32,32]},"
                               "\"bytes\":{\"dtype\":\"U8\",\"shape\":[5],\"data_offsets\":[32,37]}}";
    size_t count, crc_at = sizeof "{\"__metadata__\":{\"crc32\":\"" - 1;
    unsigned char *bytes = sample_bytes(&count);
    size_t length = header_length(bytes);
    assert_int_equal((8 + length) % 64, 0);
    assert_int_equal(count, 8 + length + 37);
    char crc[9];
    snprintf(crc, sizeof crc, "%.8s", (char *)bytes + 8 + crc_at);
    memcpy(bytes + 8 + crc_at, "........", 8);
    assert_memory_equal(bytes + 8, want, sizeof want - 1);
    for (size_t i = 8 + sizeof want - 1; i < 8 + length; i++)
        assert_int_equal(bytes[i], ' ');
    memcpy(bytes + 8 + crc_at, "00000000", 8);
    char expected[9];
    snprintf(expected, sizeof expected, "%08lx", crc32(0, bytes, (unsigned)count));
    assert_string_equal(crc, expected);
    memory_free(bytes);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct message m;
    size_t count, used, again_count;
    void *bytes = sample_bytes(&count), *again;
    struct record *r, *original = sample_record();
    ASSERT_OK(record_parse(&r, bytes, count, &used, &m), m);
    assert_int_equal(used, count);
    assert_same_content(original, r);
    assert_string_equal(record_get(r, "note"), record_get(original, "note"));
    for (size_t i = 0; i < r->tensor_count; i++)
        assert_int_equal((uintptr_t)r->tensors[i].data % 64, 0);
    ASSERT_OK(record_serialise(r, &again, &again_count, &m), m);
    assert_int_equal(count, again_count);
    assert_memory_equal(bytes, again, count);
    record_free(r);
    record_free(original);
    memory_free(bytes);
    memory_free(again);
}

static void test_every_type_round_trips(void **state)
{
    (void)state;
    struct message m;
    struct record *r = record_new(&m), *back;
    struct random_stream random = random_open(3, RANDOM_TEST, 0, 0);
    for (int d = 0; d < DTYPE_COUNT; d++) {
        struct tensor *t;
        ASSERT_OK(record_add(r, dtype_name((enum dtype)d), (enum dtype)d, 2, (int64_t[]){3, 1 + d}, &t, &m), m);
        for (size_t i = 0; i < t->bytes; i++)
            ((uint8_t *)t->data)[i] = (uint8_t)random_u32(&random);
    }
    void *bytes;
    size_t count, used;
    ASSERT_OK(record_serialise(r, &bytes, &count, &m), m);
    ASSERT_OK(record_parse(&back, bytes, count, &used, &m), m);
    assert_same_content(r, back);
    memory_free(bytes);
    record_free(r);
    record_free(back);
}

static void test_every_truncation_is_refused(void **state)
{
    (void)state;
    struct message m;
    size_t count, used;
    char *bytes = sample_bytes(&count);
    for (size_t cut = 0; cut < count; cut++) {
        char *exact = memory_new_raw(cut, 1, &m); /* so that a sanitizer sees any read past the end */
        memcpy(exact, bytes, cut);
        struct record *r;
        assert_int_equal(record_parse(&r, exact, cut, &used, &m), STATUS_TRUNCATED);
        assert_null(r);
        char want[128];
        snprintf(want, sizeof want, "truncated stream after 0 records, at offset %zu", cut);
        assert_string_equal(m.text, cut ? want : "empty input");
        memory_free(exact);
    }
    memory_free(bytes);
}

static void test_every_bit_flip_is_detected(void **state)
{
    (void)state;
    struct message m;
    size_t count, used;
    unsigned char *bytes = sample_bytes(&count);
    for (size_t bit = 0; bit < 8 * count; bit++) {
        struct record *r;
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        m.text[0] = 0;
        assert_true(record_parse(&r, bytes, count, &used, &m) < 0);
        assert_null(r);
        assert_true(m.text[0] && !strchr(m.text, '\n'));
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    struct random_stream random = random_open(5, RANDOM_TEST, 0, 0);
    for (int i = 0; i < 10000; i++) { /* several at once */
        unsigned char *damaged = memory_new_raw(count, 1, &m);
        struct record *r;
        memcpy(damaged, bytes, count);
        for (uint32_t flips = 1 + random_below(&random, 4); flips > 0; flips--) {
            uint32_t bit = random_below(&random, (uint32_t)(8 * count));
            damaged[bit / 8] ^= (unsigned char)(1u << bit % 8);
        }
        /* more than one bit of the key itself switches the check off: that it stands there is taken as given */
        if (memcmp(damaged, bytes, count) && memcmp(damaged + 25, "crc32", 5) == 0)
            assert_true(record_parse(&r, damaged, count, &used, &m) < 0);
        memory_free(damaged);
    }
    memory_free(bytes);
}

static void header_refused(const char *json, size_t data_bytes, int status, const char *text)
{
    unsigned char *bytes;
    size_t count, used;
    struct record *r;
    struct message m = {{0}};
    frame(&bytes, &count, json, data_bytes);
    assert_int_equal(record_parse(&r, bytes, count, &used, &m), status);
    assert_null(r);
    if (!strstr(m.text, text))
        print_error("got:  %s\nwant: %s\n", m.text, text);
    assert_non_null(strstr(m.text, text));
    memory_free(bytes);
}

static void test_malformed_headers_are_refused(void **state)
{
    (void)state;
    const int bad = STATUS_FORMAT;
    header_refused("[]", 0, bad, "header is not a JSON object");
    header_refused("{} x", 0, bad, "header is not valid JSON");
    header_refused("{\"a\":1}", 0, bad, "a: is not an object");
    header_refused("{\"__metadata__\":[]}", 0, bad, "__metadata__ is not an object");
    header_refused("{\"__metadata__\":{\"a\":1}}", 0, bad, "metadata a: is not a string");
    header_refused("{\"__metadata__\":{\"crc32\":\"XYZ\"}}", 0, bad, "'XYZ' is not 8 lower-case hex digits");
    header_refused("{\"__metadata__\":{\"crc32\":\"0000000A\"}}", 0, bad, "is not 8 lower-case hex digits");
    header_refused("{\"__metadata__\":{\"crc32\":\"\\u0030000000a\"}}", 0, bad, "is written with escapes");
    header_refused("{\"__metadata__\":{\"crc3\\u0032\":\"0000000a\"}}", 0, bad, "is written with escapes");
    header_refused("{\"__metadata__\":{\"crc32\":\"0000000a\"}}", 0, bad, "its header says 0000000a");
    header_refused("{\"__metadata__\":{\"crc33\":\"0000000a\"}}", 0, bad, "looks like a damaged 'crc32'");
    header_refused("{\"__metadata__\":{\"format\":\"resq 2\"}}", 0, STATUS_UNSUPPORTED,
                   "'resq 2' is not supported, want 'resq 1'");
    header_refused("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0, bad, "duplicate object key");
    header_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                   "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
                   2, bad, "duplicate object key");
    header_refused("{\"\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, bad, "name is empty");
    header_refused("{\"a\":{\"dtype\":\"F8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, bad,
                   "a: unknown type 'F8', supported are BOOL U8 I8");
    header_refused("{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, bad, "a: dtype is missing");
    header_refused("{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, bad, "a: shape is not a list");
    header_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, bad, "a: data_offsets are not [begin, end]");
    header_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"x\":1}}", 1, bad,
                   "a: unknown field 'x'");
    header_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[1.5],\"data_offsets\":[0,1]}}", 1, bad, "a: dimension 0");
    header_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[1,-1],\"data_offsets\":[0,1]}}", 1, bad, "a: dimension 1");
    header_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 1, bad,
                   "a: rank 9 exceeds limit 8");
    header_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,1]}}", 1, bad,
                   "a: shape overflows");
    header_refused("{\"a\":{\"dtype\":\"F64\",\"shape\":[2305843009213693952],\"data_offsets\":[0,1]}}", 1, bad,
                   "a: shape overflows");
    header_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[99999999999999999999],\"data_offsets\":[0,1]}}", 1, bad,
                   "too big integer");
    header_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,0]}}", 1, bad, "0 <= begin <= end");
    header_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[-1,0]}}", 1, bad, "0 <= begin <= end");
    header_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,7]}}", 7, bad,
                   "a: data_offsets [0,7] hold 7 bytes, F32[2] needs 8");
    header_refused("{\"a\\u0000\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, bad,
                   "not valid JSON");
    header_refused("{\"a\xff\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, bad,
                   "unable to decode byte 0xff");
    header_refused("{\"a\\u001b[2J\":{\"dtype\":\"F8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, bad,
                   "a?[2J: unknown");
    header_refused(
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4611686018427387904],\"data_offsets\":[0,4611686018427387904]}}", 1,
        STATUS_TRUNCATED, "truncated stream after 0 records");
}

static void test_offsets_must_cover_the_data(void **state)
{
    (void)state;
#define U8_AT(name, size, begin, end) \
    "\"" name "\":{\"dtype\":\"U8\",\"shape\":[" #size "],\"data_offsets\":[" #begin "," #end "]}"
    header_refused("{" U8_AT("a", 4, 0, 4) "," U8_AT("b", 4, 3, 7) "}", 8, STATUS_FORMAT,
                   "a and b overlap at offset 3 of the data");
    header_refused("{" U8_AT("b", 4, 6, 10) "," U8_AT("a", 4, 0, 4) "}", 10, STATUS_FORMAT,
                   "a and b: hole of 2 bytes between them, at offset 4 of the data");
    header_refused("{" U8_AT("a", 4, 2, 6) "}", 8, STATUS_FORMAT, "a: hole of 2 bytes before it, at offset 0");
    header_refused("{" U8_AT("a", 4, 0, 4) "," U8_AT("b", 4, 0, 4) "}", 8, STATUS_FORMAT, "a and b overlap");
    header_refused("{" U8_AT("a", 4, 0, 4) "," U8_AT("z", 0, 2, 2) "}", 4, STATUS_FORMAT, "a and z overlap");
}

static void length_refused(uint64_t length, int status, const char *text)
{
    unsigned char bytes[12] = {0};
    struct message m;
    struct record *r;
    size_t used;
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(length >> 8 * i);
    assert_int_equal(record_parse(&r, bytes, sizeof bytes, &used, &m), status);
    assert_string_equal(m.text, text);
}

static void test_header_length_is_bounded(void **state)
{
    (void)state;
    length_refused(UINT64_MAX, STATUS_FORMAT,
                   "header length 18446744073709551615 at offset 0 exceeds limit 16777216");
    length_refused((uint64_t)1 << 63, STATUS_FORMAT,
                   "header length 9223372036854775808 at offset 0 exceeds limit 16777216");
    length_refused(16777217, STATUS_FORMAT, "header length 16777217 at offset 0 exceeds limit 16777216");
    length_refused(0, STATUS_FORMAT, "header length 0 at offset 0 is too small for a header");
    length_refused(16777216, STATUS_TRUNCATED, "truncated stream after 0 records, at offset 12");
}

/* A file of another kind is named; the bytes are those that such files begin with. */
static void foreign_refused(const char *head, size_t head_count, const char *is)
{
    unsigned char bytes[600] = {0};
    struct message m;
    struct record *r;
    size_t used;
    memcpy(bytes, head, head_count);
    memcpy(bytes + 257, "ustar", strncmp(is, "is a tar", 8) == 0 ? 5 : 0);
    assert_true(record_parse(&r, bytes, sizeof bytes, &used, &m) < 0);
    if (strncmp(m.text, is, strlen(is)) != 0)
        print_error("%s\n", m.text);
    assert_int_equal(strncmp(m.text, is, strlen(is)), 0);
}

static void test_a_file_of_another_kind_is_named(void **state)
{
    (void)state;
#define ZIP_OF(name, length) "PK\3\4\24\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" length "\0\0\0" name
#define REFUSED(head, is) foreign_refused(head, sizeof(head) - 1, is)
    REFUSED(ZIP_OF("archive/data.pkl", "\20"), "is a PyTorch file (.pth, .pt): save its state_dict as safetensors");
    REFUSED(ZIP_OF("net/.data/serialization_id", "\32"), "is a PyTorch file (.pth, .pt)");
    REFUSED(ZIP_OF("conv1.weight.npy", "\20"), "is a numpy archive (.npz)");
    REFUSED(ZIP_OF("metadata.json", "\15"), "is a Keras model (.keras)");
    REFUSED(ZIP_OF("train/cat/1.png", "\17"), "is a zip archive, not a record");
    REFUSED("PK\3\4\24\0\0\0\10\0", "is a zip archive, not a record");
    REFUSED("\x80\2\x8a\nl\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", "is a PyTorch file of the time before 1.6");
    REFUSED("\x80\4\x95\0\0", "is a Python pickle");
    REFUSED("\x93NUMPY\1\0v\0{'descr'", "is a numpy array (.npy)");
    REFUSED("\x89HDF\r\n\x1a\n", "is an HDF5 file");
    REFUSED("GGUF\3\0\0\0", "is a GGUF file");
    REFUSED("\34\0\0\0TFL3", "is a TensorFlow Lite model");
    REFUSED("\x08\x08\x12\x07pytorch", "is an ONNX model: onnx-import reads it");
    REFUSED("\x1f\x8b\x08\0\0\0\0\0\0\3", "is compressed by gzip"); /* bytes that are a possible length too */
    REFUSED("\x1f\x8b\x08\x08\x12\x34\x56\x78\0\3", "is compressed by gzip");
    REFUSED("\xfd"
            "7zXZ\0\0\4",
            "is compressed by xz");
    REFUSED("train/cat/1.png", "is a tar archive");
    REFUSED("PAR1\x15\0\x15\x10", "is a Parquet or Arrow file");
    REFUSED("MATLAB 5.0 MAT-file", "is a Matlab file");
    REFUSED("\0\0\x08\x03\0\0\xea\x60", "is an IDX file");
    REFUSED("\x04\x22\x4d\x18\x64\x40\xa7\0", "is compressed by lz4");
    REFUSED("Rar!\x1a\x07\1\0", "is a rar archive");
    REFUSED("<!doctype html>", "is a web page");
    REFUSED("\x89PNG\r\n\x1a\n", "is a picture (PNG)");
#undef ZIP_OF
#undef REFUSED
}

/* What merely stands where a header cannot be read is not taken for it. */
static void test_a_broken_record_is_not_another_kind(void **state)
{
    (void)state;
    struct message m;
    struct record *r;
    size_t used;
    static const char cut[] = "\x1f\x8b\x08\0\0\0\0\0{\"a\":"; /* a length of gzip's first bytes */
    assert_int_equal(record_parse(&r, cut, sizeof cut - 1, &used, &m), STATUS_TRUNCATED);
    assert_string_equal(m.text, "truncated stream after 0 records, at offset 13");
}

static void shuffle(size_t *order, size_t count, struct random_stream *r)
{
    for (size_t i = 0; i < count; i++)
        order[i] = i;
    for (size_t i = count; i > 1; i--) {
        size_t j = random_below(r, (uint32_t)i), x = order[i - 1];
        order[i - 1] = order[j];
        order[j] = x;
    }
}

/* Any order of keys, any order of tensors in the data, any spacing: tensors come out aligned and right. */
static void test_any_order_is_read(void **state)
{
    (void)state;
    struct message m;
    static const char *const shapes[4] = {"\"dtype\":\"U8\",\"shape\":[3]", "\"shape\":[2,1] ,\"dtype\" : \"F32\"",
                                          "\"dtype\":\"I64\",\"shape\":[]", "\"dtype\":\"I16\",\"shape\":[5]"};
    static const size_t sizes[4] = {3, 8, 8, 10};
    struct random_stream random = random_open(6, RANDOM_TEST, 0, 0);
    for (int round = 0; round < 300; round++) {
        size_t keys[4], places[4], offsets[4], at = 0, used, count;
        struct text json = {0};
        shuffle(keys, 4, &random);
        shuffle(places, 4, &random);
        for (int i = 0; i < 4; i++) {
            offsets[places[i]] = at;
            at += sizes[places[i]];
        }
        for (int i = 0; i < 4; i++)
            ASSERT_OK(text_add(&json, &m, "%s\n\"t%zu\" : {\"data_offsets\":[%zu, %zu],%s}", i ? "," : "{", keys[i],
                               offsets[keys[i]], offsets[keys[i]] + sizes[keys[i]], shapes[keys[i]]),
                      m);
        ASSERT_OK(text_add(&json, &m, random_below(&random, 2) ? ",\"__metadata__\":{\"x\":\"y\"}}" : "}  "), m);
        unsigned char *bytes;
        struct record *r;
        frame(&bytes, &count, json.data, at);
        ASSERT_OK(record_parse(&r, bytes, count, &used, &m), m);
        for (size_t i = 0; i < 4; i++) {
            char name[8];
            snprintf(name, sizeof name, "t%zu", i);
            const struct tensor *t = record_find(r, name);
            assert_int_equal((uintptr_t)t->data % 64, 0);
            for (size_t j = 0; j < t->bytes; j++)
                assert_int_equal(((uint8_t *)t->data)[j], offsets[i] + j);
        }
        for (size_t i = 0; i < 4; i++) /* kept in the order of the data */
            assert_int_equal(r->tensors[i].name[1] - '0', places[i]);
        record_free(r);
        memory_free(bytes);
        text_free(&json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_are_canonical),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_every_type_round_trips),
        cmocka_unit_test(test_every_truncation_is_refused),
        cmocka_unit_test(test_every_bit_flip_is_detected),
        cmocka_unit_test(test_malformed_headers_are_refused),
        cmocka_unit_test(test_offsets_must_cover_the_data),
        cmocka_unit_test(test_header_length_is_bounded),
        cmocka_unit_test(test_any_order_is_read),
        cmocka_unit_test(test_a_file_of_another_kind_is_named),
        cmocka_unit_test(test_a_broken_record_is_not_another_kind),
    };
    return cmocka_run_group_tests(tests, NULL, temporary_folder_remove);
}
