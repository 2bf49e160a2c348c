"""The commonest function words of languages whose script does not give them away. A word may be of several."""

from __future__ import annotations

_LISTED = {
    "en": "the of and to in is that it was for on are with as be at this have from or by not but what all were we "
    "when your can there an which their if will has more about had been his her they you he she who would than its "
    "said into out after up so no one two new other some also could our only over such these them because where how",
    "de": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden aus "
    "er hat dass sie nach wird bei einer um am sind noch wie einem über einen so zum war haben nur oder aber vor zur "
    "bis mehr durch man sein wurde sei kann gegen vom schon wenn ihre unter wir ihm seine diese sehr mir dieser",
    "fr": "de la le et les des en un du une que est pour qui dans a par plus pas au sur ne se ce il sont la avec "
    "son cette ou elle aux mais nous comme été leur d'un c'est qu'il ces ont sa même deux si tout être fait je bien "
    "où vous lui sans après ses avait était entre aussi n'est très peut dont encore sous d'une qu'elle l'on depuis",
    "es": "de la que el en y a los se del las un por con no una su para es al lo como más o pero sus le ha me si "
    "sin sobre este ya entre cuando todo esta ser son dos también fue había era muy años hasta desde está mi porque "
    "qué sólo han yo hay vez puede todos así nos ni parte tiene él uno donde bien ese otra después otros según",
    "it": "di e il la che in a per un è del non una sono con le si da dei nel i alla come anche della più gli al "
    "ha lo delle ma questo ai dal cui nella loro se ci dell'a o ad sul stato essere degli alle hanno tra era dopo "
    "così fatto suo sua due questa quello solo prima ancora perché fino sulla dalla tutti molto nell' nei chi poi",
    "pt": "de a o que e do da em um para é com não uma os no se na por mais as dos como mas foi ao ele das tem à "
    "seu sua ou ser quando muito há nos já também só pelo pela até isso ela entre era depois sem mesmo aos ter seus "
    "quem nas me esse eles estão você tinha foram essa num nem suas meu às minha têm numa pelos são está ainda",
    "ca": "de la i el a que en les els del per un una amb és no al va dels ha com es més però aquest aquesta són "
    "també han pel o seva ser entre fins sense seu aquests molt hi ja quan on tot havia perquè des d'un d'una",
    "nl": "de het een en van in is dat op te zijn met voor niet die aan er om ook als bij maar dan door wordt naar "
    "heeft hebben nog worden over uit deze tot hij was werd kan ze zich dit haar hun geen wel wat meer toen zo we "
    "al onder ik moet veel tegen daar waar andere omdat na twee jaar zou kunnen zegt tussen of",
    "sv": "och i att det som en på är av för med den till inte om ett har de från men var sig så kan när eller vi "
    "han hon ska också efter där vid under ut skulle jag nu ha mot hade upp än hur alla sin in vad man mycket över "
    "blir bara varit några år mellan sedan detta här blev finns vara två enligt flera dem dess ännu något säger",
    "da": "og i at det er en til på som for af den med de ikke der var et har om fra men han vi ved kan så eller "
    "hun efter også blev være skal mere jeg sig havde nu ud mod hvor op over når bliver kun meget nogle år mellem "
    "siden dette her to ifølge flere deres hvad end sin andre noget siger mig kunne blevet bare alle hvis vil mange",
    "no": "og i at det er en til på som for av den med de ikke var et har om fra men han vi ved kan så eller hun "
    "etter også ble være skal mer jeg seg hadde nå ut mot hvor opp over når blir bare mye noen år mellom siden dette "
    "her to ifølge flere deres hva enn sin andre noe sier meg kunne blitt alle hvis vil mange mens ingen fjor ei ein "
    "ikkje eg frå dei ho kva vere blei berre mykje nokon noko etter vart då sjølv skulle må denne både",
    "is": "og í að á er sem var við um til hann en það með fyrir ekki af frá því þess eru hafa hefur þá þar eða hún "
    "verið þeir upp úr sér þetta eftir var voru einnig þegar hans verður hafði yfir segir ég við mjög nú",
    "fi": "ja on ei se että oli hän mutta joka myös kun ovat mukaan sen kuin tai olla hänen voi jos vain niin ole "
    "siitä tämä ollut jo sitä ne jotka noin mitä vuonna vielä joka sekä jonka kanssa nyt sekä hyvin sanoo mukaan "
    "jälkeen koska olisi tämän eivät kaikki sillä joten kuitenkin minä me he itse ennen yli aikana muun esimerkiksi",
    "et": "ja on ei et see oli ta ka kui mis aga ning selle kes oma mida ole või seda nii veel siis tema kas välja "
    "pole üle sest pärast aasta eesti nad juba ainult meie olla selles kuid need saab olnud väga enne ütles",
    "lv": "un ir no ar par uz ka tas kas bija lai to arī bet gan vai pēc tā tiek var gada kā nav savu viņš pie tikai "
    "līdz šo vēl ja jau kurš būs ļoti kad tajā starp šis latvijas tam tomēr",
    "lt": "ir yra kad į su iš bei tai kaip buvo dėl jis bet ne per apie po nuo jo kuris taip ar dar jau tik labai "
    "už kurie gali savo pagal metų iki jei būti nes prie šis jų lietuvos",
    "pl": "w i na z się nie do to że jest o jak po co od za dla przez oraz są tym już może tak ale czy był tego "
    "jego które być ze przy także a te który tylko jako będzie sobie ich która było lat jej mnie ma bardzo tej gdy "
    "również bez można pod nad jeszcze więcej roku jednak przed między gdzie których kiedy by",
    "cs": "a v se na je že o s z do i to k ve pro za by ale si po jako jsou od který které jeho už byl tak jen "
    "podle také která nebo být ze než jak až při jsem své aby ještě bylo mezi byla co kde jejich této roku není "
    "další může má před však pouze kteří řekl před již ke",
    "sk": "a v sa na je že o s z do aj to k vo pre za by ale si po ako sú od ktorý ktoré jeho už bol tak len "
    "podľa tiež ktorá alebo byť zo než keď až pri som svoje aby ešte bolo medzi bola čo kde ich tejto roku nie "
    "ďalšie môže má pred však iba ktorí povedal sme vy",
    "sl": "in je v na se da za so z ki pa ne tudi bi s kot po iz še ali od pri do ga pred bo lahko kar le jih med "
    "več ter če sta vse jo leta kako bilo ker že zaradi brez smo ni sem bil tako samo proti",
    "hr": "i je u se na da za su od s o koji a što kao će iz ne bi to do nije nakon ili više po koja kako samo već "
    "ali bez te biti prema oko kod ima jer godine između još možda bio koje te sve bilo pri sam ga zbog dok rekao "
    "sa šta gde pre posle ovo",
    "hu": "a az és hogy nem is egy ez meg van de volt csak azt már ha el mint még ki ezt kell olyan minden lehet "
    "vagy után szerint között majd aki amely mert lesz itt pedig így nagyon során által ő én azonban fel be első",
    "ro": "și de în a la cu o pe din care să nu un este au mai pentru ce ca fost sau se că al le dar prin ale lui "
    "după sunt fi iar lor ei ai doar când este între până două am foarte cele acest această fără ar unde către asta "
    "si sa",
    "tr": "ve bir bu da de için ile olarak çok olan daha gibi kadar en ne o ise sonra var ya mi her ama değil "
    "olduğunu oldu göre ancak iki tarafından yeni ki diye içinde nasıl üzerinde önce dedi mu bunu şu hem bile onun "
    "ben olduğu ediyor veya sadece yıl büyük",
    "id": "yang dan di dengan untuk dari pada ini itu dalam tidak akan oleh ke juga adalah ada sebagai bisa telah "
    "dapat mereka saya lebih tersebut karena atau kata sudah bahwa kami menjadi seperti saat para tahun tetapi anda "
    "secara antara hanya harus kita lalu setelah bagi kepada namun",
    "vi": "và của là có cho các được trong với không một những người đã này khi đến để tại về từ ra cũng như vào "
    "năm sẽ theo nhiều trên phải lại hơn còn bị đó nhưng sau nhà đang việc rất nên hai thể đi",
    "ru": "и в не на что я с он а как это по но из у за к от все его так же для мы было был они она бы о только то "
    "или еще ещё до если быть при уже их может после которые был были также более во со году этого который чем нет "
    "была под где есть без когда ли можно об том сейчас",
    "uk": "і в на з що не у та за до як це для від про його але є був які також під було або він вони вже ще може "
    "щоб після буде так при є її їх який лише через року цього якщо має бути із й між дуже все тому коли більше",
    "bg": "на и в за да от се с не е са че по как това ще към до или като при са бе има му след те които си който "
    "но един може само са през между все във със е този още беше която им без го тя ние обаче когато около",
    "be": "і ў на з што не у па да як гэта для ад яго але быў якія таксама пад было або ён яны ўжо яшчэ можа каб "
    "пасля будзе так пры яе іх які толькі праз года гэтага калі мае быць",
    "sr": "и је у се на да за су од с о који а што као ће из не би то до није након или више по која како само већ "
    "али без бити према код има јер године између још био које све било при рекао са где после",
    "ar": "في من على إلى أن التي عن مع هذا ما هذه الذي بعد كان لا قد بين كما لم أو قال ذلك حيث خلال عام كل أي هو "
    "هي إن منذ غير حتى كانت إذا لكن عند ثم وقد وفي ومن أكثر قبل",
    "fa": "در و به از که این را با است برای آن یک خود تا بر کرد شده شد هم اما می های ها او نیز پس دو باید بود هر "
    "دارد یا بین اگر کند وی آنها نمی سال گفت شود چه چند",
    "ur": "کے کی میں ہے کا اور سے کو نے پر کہ ہیں اس ایک یہ بھی تھا ان جو گیا تو کر ہو نہیں کیا وہ تھے ساتھ تھی "
    "لیے گی بعد ہوئے رہے اپنے کچھ جس",
}
STOP_WORDS: dict[str, frozenset[str]] = {code: frozenset(words.split()) for code, words in _LISTED.items()}
