"""Which language a text is in, and what its declaration counts beside it."""

import json

import pytest

from enrich_assets.core.language_codes import language_code, same_language
from enrich_assets.web.language import decided_language, language_of
from enrich_assets_tests.shared_data import shared_data

TEXTS = {
    "en": "The town council voted on Tuesday to close the old bridge, which has carried traffic for eighty years, and "
    "said that a new one will be open before the end of next summer.",
    "de": "Der Stadtrat hat am Dienstag beschlossen, die alte Brücke zu sperren, die seit achtzig Jahren den Verkehr "
    "trägt, und teilte mit, dass eine neue noch vor dem Sommer eröffnet werden soll.",
    "fr": "Le conseil municipal a décidé mardi de fermer le vieux pont, qui porte la circulation depuis quatre-vingts "
    "ans, et a annoncé qu'un nouveau sera ouvert avant la fin de l'été prochain.",
    "es": "El ayuntamiento decidió el martes cerrar el viejo puente, que lleva el tráfico desde hace ochenta años, y "
    "dijo que uno nuevo se abrirá antes del final del próximo verano.",
    "it": "Il consiglio comunale ha deciso martedì di chiudere il vecchio ponte, che porta il traffico da ottant'anni, "
    "e ha detto che uno nuovo sarà aperto prima della fine della prossima estate.",
    "pt": "A câmara municipal decidiu na terça-feira fechar a velha ponte, que suporta o trânsito há oitenta anos, e "
    "disse que uma nova será aberta antes do fim do próximo verão.",
    "nl": "De gemeenteraad heeft dinsdag besloten om de oude brug te sluiten, die al tachtig jaar het verkeer draagt, "
    "en zei dat een nieuwe voor het einde van de zomer open zal zijn.",
    "sv": "Kommunfullmäktige beslutade på tisdagen att stänga den gamla bron, som har burit trafiken i åttio år, och "
    "sade att en ny ska vara öppen före slutet av nästa sommar.",
    "da": "Byrådet besluttede tirsdag at lukke den gamle bro, som har båret trafikken i firs år, og sagde at en ny vil "
    "være åben før næste sommer, men den er ikke betalt endnu af staten, og der er mange der tvivler.",
    "no": "Kommunestyret vedtok tirsdag å stenge den gamle broen, som har båret trafikken i åtti år, og sa at en ny "
    "skal være åpen før neste sommer, men den er ikke betalt ennå av staten, og noen tviler mye.",
    "fi": "Kaupunginvaltuusto päätti tiistaina sulkea vanhan sillan, joka on kantanut liikennettä kahdeksankymmentä "
    "vuotta, ja kertoi että uusi avataan ennen ensi kesän loppua, mutta se ei ole vielä valmis ja sen hinta on korkea.",
    "pl": "Rada miasta zdecydowała we wtorek o zamknięciu starego mostu, który od osiemdziesięciu lat służy "
    "kierowcom, i poinformowała, że nowy będzie otwarty przed końcem lata, ale nie jest to jeszcze pewne.",
    "cs": "Zastupitelstvo města v úterý rozhodlo, že starý most, který už osmdesát let slouží dopravě, bude uzavřen, "
    "a nový by měl být otevřen ještě před koncem příštího léta, ale není to jisté.",
    "hu": "A városi tanács kedden úgy döntött, hogy lezárja a régi hidat, amely már nyolcvan éve szolgálja a "
    "forgalmat, és azt mondta, hogy az új még a jövő nyár vége előtt megnyílik, de ez nem biztos.",
    "ro": "Consiliul local a decis marți să închidă podul vechi, care poartă traficul de optzeci de ani, și a spus că "
    "unul nou va fi deschis înainte de sfârșitul verii viitoare, dar nu este încă sigur.",
    "tr": "Belediye meclisi salı günü, seksen yıldır trafiği taşıyan eski köprünün kapatılmasına karar verdi ve yeni "
    "bir köprünün gelecek yaz sonundan önce açılacağını söyledi, ancak bu henüz çok kesin değil.",
    "id": "Dewan kota pada hari Selasa memutuskan untuk menutup jembatan lama yang telah digunakan selama delapan "
    "puluh tahun, dan mengatakan bahwa jembatan baru akan dibuka sebelum akhir musim panas.",
    "vi": "Hội đồng thành phố hôm thứ Ba đã quyết định đóng cửa cây cầu cũ, vốn đã được sử dụng trong tám mươi năm, và "
    "cho biết một cây cầu mới sẽ được mở trước khi kết thúc mùa hè.",
    "ru": "Городской совет во вторник решил закрыть старый мост, который служит уже восемьдесят лет, и сообщил, что "
    "новый будет открыт до конца следующего лета, но это ещё не точно.",
    "uk": "Міська рада у вівторок вирішила закрити старий міст, який служить уже вісімдесят років, і повідомила, що "
    "новий буде відкрито до кінця наступного літа, але це ще не точно.",
    "ar": "قرر مجلس المدينة يوم الثلاثاء إغلاق الجسر القديم الذي يحمل حركة المرور منذ ثمانين عاما وقال إن جسرا جديدا "
    "سيفتح قبل نهاية الصيف المقبل لكن هذا غير مؤكد حتى الآن من قبل الحكومة",
    "fa": "شورای شهر روز سه شنبه تصمیم گرفت پل قدیمی را که هشتاد سال است برای عبور خودروها استفاده می شود ببندد و گفت "
    "که پل جدید تا پایان تابستان آینده باز خواهد شد اما این هنوز قطعی نیست",
    "el": "Το δημοτικό συμβούλιο αποφάσισε την Τρίτη να κλείσει την παλιά γέφυρα, που εξυπηρετεί την κυκλοφορία εδώ "
    "και ογδόντα χρόνια, και είπε ότι μια νέα θα ανοίξει πριν από το τέλος του καλοκαιριού.",
    "he": "מועצת העיר החליטה ביום שלישי לסגור את הגשר הישן שמשרת את התנועה כבר שמונים שנה ואמרה שגשר חדש ייפתח "
    "לפני סוף הקיץ הבא",
    "zh": "市议会周二决定关闭这座已使用八十年的旧桥，并表示新桥将在明年夏天结束之前开放。",
    "ja": "市議会は火曜日、八十年にわたって使われてきた古い"
    "橋を閉鎖することを決め、新しい橋は来年の夏までに開通すると述べた。",
    "ko": "시의회는 화요일에 팔십 년 동안 사용된 낡은 다리를 폐쇄하기로 결정했으며 "
    "새 다리는 내년 여름 이전에 개통될 것이라고 밝혔다.",
    "th": "สภาเมืองมีมติเมื่อวันอังคารให้ปิดสะพานเก่าที่ใช้งานมาแปดสิบปี และกล่าวว่าสะพานใหม่จะเปิดก่อนสิ้นฤดูร้อนหน้า",
    "hi": "नगर परिषद ने मंगलवार को अस्सी साल पुराने पुल को बंद करने का फैसला किया और कहा कि नया पुल अगली गर्मियों से पहले खुलेगा",
}


@pytest.mark.parametrize("code", sorted(TEXTS))
def test_a_sentence_or_two_give_a_language_away(code):
    assert language_of(TEXTS[code]) == code


@pytest.mark.parametrize("code", sorted(set(TEXTS) - {"en"}))
def test_a_text_is_believed_before_a_template_that_declares_another_language(code):
    assert decided_language(TEXTS[code] * 2, "en") == code
    assert decided_language(TEXTS["en"], code) == "en"


def test_a_text_that_is_too_short_or_in_an_unknown_language_leaves_the_declaration():
    assert decided_language("The port of Velm", "de") == "de"
    assert decided_language("Lorem ipsum dolor sit amet " * 20, "fr") == "fr"
    assert decided_language("1, 2, 3", "") == ""
    assert decided_language(TEXTS["pt"], "gl") == "gl"  # Galician is near, and there is no list of its words


def test_the_code_that_is_declared_stays_where_the_text_is_in_the_same_language():
    assert decided_language(TEXTS["no"], "nb") == "nb"
    assert decided_language(TEXTS["no"], "nn") == "nn"


@pytest.mark.parametrize(("declared", "code"), [
    ("en-GB", "en"), ("de_AT", "de"), ("zh-Hans", "zh"), ("zh_Hant_TW", "zh"), ("pt-BR", "pt"), ("iw", "he"),
    ("NO", "no"), ("nb-NO", "nb"), ("nn", "nn"), ("eng", "en"), ("English", "en"), ("de_DE.UTF-8", "de"), ("", ""),
    ("x-default", ""), ("none", ""), ("und", ""),
])  # fmt: skip
def test_declared_codes_are_normalised(declared, code):
    assert language_code(declared) == code


def test_norwegian_is_one_language_for_filters():
    assert same_language("no", "nb") and same_language("nn", "no") and not same_language("no", "da")


def test_labelled_paragraphs_are_told_apart_by_their_first_twenty_words():
    wrong, count = [], 0
    for code in ("en", "de", "ru", "zh"):
        data = json.loads((shared_data("kb", "xquad") / f"xquad.{code}.json").read_text("utf-8"))["data"]
        for text in (paragraph["context"] for one in data for paragraph in one["paragraphs"]):
            opening = text[:40] if code == "zh" else " ".join(text.split()[:20])
            count += 1
            if language_of(opening) != code:
                wrong.append((code, opening))
    assert len(wrong) <= count * 0.01, wrong
