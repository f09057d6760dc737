"""XML in every encoding that annotation tools write or declare, and XML that would do harm."""

import pytest

from ymir_exc.annotations import VocReader
from ymir_exc.annotations.xml_text import decode_xml, parse_xml
from ymir_exc.errors import DatasetError

CHINESE, JAPANESE, KOREAN, RUSSIAN, FRENCH = '安全帽', 'ヘルメット', '안전모', 'каска', 'élève à'


def document(name, declared=None, attributes='version="1.0"'):
    declaration = f'<?xml {attributes} encoding="{declared}"?>\n' if declared else ''
    return f'{declaration}<annotation><object><name>{name}</name></object></annotation>'


# (declared, what it is really in, text)
DECLARED = [
    *(
        (name, real or name, CHINESE)
        for name, real in (
            ('gb2312', None),
            ('GB2312', None),
            ('gbk', None),
            ('gb18030', None),
            ('big5', None),
            ('utf-8', None),
            ('UTF-8', 'utf-8-sig'),
            ('gb_2312-80', 'gbk'),
            ('x-gbk', 'gbk'),
            ('windows-936', 'gbk'),
            ('cp936', None),
            ('utf-16', None),
            ('utf-16', 'utf-16-le'),
            ('utf-16', 'utf-16-be'),
            ('utf-32', None),
            ('hz', None),
        )
    ),
    *(
        (name, real or name, JAPANESE)
        for name, real in (
            ('shift_jis', None),
            ('Shift-JIS', None),
            ('x-sjis', 'cp932'),
            ('windows-31j', 'cp932'),
            ('euc-jp', None),
            ('iso-2022-jp', None),
        )
    ),
    ('euc-kr', 'euc-kr', KOREAN),
    ('ks_c_5601-1987', 'cp949', KOREAN),
    *((name, name, RUSSIAN) for name in ('windows-1251', 'koi8-r', 'iso-8859-5', 'utf-8')),
    *((name, name, FRENCH) for name in ('latin-1', 'ISO-8859-1', 'windows-1252', 'utf-8')),
]
# What is declared is wrong, or nothing is declared.
WRONG = [
    *(
        (name, 'utf-8', CHINESE)
        for name in (
            'gb2312',
            'gbk',
            'big5',
            'shift_jis',
            'euc-kr',
            'latin-1',
            'windows-1251',
            'us-ascii',
            'utf-16',
            'unicode',
            'hex',
            'rot13',
            'unicode_escape',
            'punycode',
            'ANSI',
            None,
        )
    ),
    *((name, 'utf-8', RUSSIAN) for name in ('latin-1', 'windows-1251', 'us-ascii')),
    *((name, 'gbk', CHINESE) for name in ('utf-8', 'ascii', 'no-such-encoding', None)),
    *((None, name, CHINESE) for name in ('utf-8-sig', 'utf-16', 'utf-16-le', 'utf-32')),
]


@pytest.mark.parametrize('declared, real, text', DECLARED + WRONG)
def test_encodings(tmp_path, declared, real, text):
    data = document(text, declared).encode(real)
    assert parse_xml(data).findtext('object/name') == text
    assert '<annotation>' in decode_xml(data[:260], 'ignore')
    (tmp_path / 'a.xml').write_bytes(data)
    (read,) = VocReader(['cat', text]).read(str(tmp_path / 'a.xml'), '')
    assert read.class_id == 1


@pytest.mark.parametrize('attributes', ["version='1.0'", 'version="1.1"', 'version="1.0" standalone="no"'])
def test_other_declarations(attributes):
    assert parse_xml(document(CHINESE, 'gbk', attributes).encode('gbk')).findtext('object/name') == CHINESE


def test_lines_keep_their_numbers():
    with pytest.raises(ValueError, match='line 4'):
        parse_xml('<?xml version="1.0"\n encoding="gbk"?>\n<a>\n</b>'.encode('gbk'))


BOMB = (
    '<!DOCTYPE a [<!ENTITY l "lol">'
    + ''.join(f'<!ENTITY l{number} "{f"&l{number - 1 or str()};" * 10}">' for number in range(1, 12))
    + ']><a>&l11;</a>'
)


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-16', 'gbk'])
@pytest.mark.parametrize(
    'text',
    [
        BOMB,
        '<!DOCTYPE a [<!ENTITY x SYSTEM "{secret}">]><a>&x;</a>',
        '<!DOCTYPE a [<!entity % x SYSTEM "{secret}"> %x;]><a/>',
    ],
)
def test_entities_are_rejected(tmp_path, text, encoding):
    (tmp_path / 'secret').write_text('secret')
    text = text.replace('{secret}', (tmp_path / 'secret').as_uri())
    with pytest.raises(ValueError, match='it declares entities'):
        parse_xml(text.encode(encoding))


def test_an_external_description_is_not_loaded():
    assert parse_xml(b'<!DOCTYPE a SYSTEM "http://example.invalid/a.dtd"><a>1</a>').text == '1'


@pytest.mark.parametrize(
    'data, message',
    [
        (b'', 'no element found'),
        (b'<a>', 'no element found'),
        (b'\xff\xff\xff<a/>', 'neither in UTF-8 or GB18030'),
        (b'<?xml version="1.0" encoding="gb2312"?><a>\xff</a>', 'neither in gb2312, as it says, nor'),
        (b'\xff\xfe<\0a\0>\0', 'no element found'),
        (b'\xff\xfe<', 'neither in UTF-8'),
        (b'<a>\0</a>', 'not well-formed'),
    ],
)
def test_what_is_no_xml(tmp_path, data, message):
    with pytest.raises(ValueError, match=message):
        parse_xml(data)
    (tmp_path / 'a.xml').write_bytes(data)
    with pytest.raises(DatasetError, match=r'a\.xml is not a VOC XML file: .*' + message):
        VocReader(['cat']).read(str(tmp_path / 'a.xml'), '')


def test_deep_trees_are_read():
    assert sum(1 for _ in parse_xml(b'<a>' * 100_000 + b'</a>' * 100_000).iter('a')) == 100_000
