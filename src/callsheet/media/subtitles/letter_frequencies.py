"""How often the letters of languages occur, for guessing the encoding of a text.

Each value lists letters or characters from the most to the least frequent. Capitals are left out.
"""

_COMMON_HAN = (
    "我你是的不了在好有来這这他們们個个人就那要什么麼到說说會会沒没嗎吗也想去看知道都為为可以怎樣样真吧很和她得能对對过過呢啊"
    "后後事给給把做上下里裡没现現在还還时時候太只自己起出回家再吃点點谢謝請请先生小姐大天今明年月日中国國世界爱愛心死"
    "话話走开開快别別让讓找等帮幫叫问問听聽觉覺得老师師朋友孩子女男爸妈媽哥姐弟妹手头頭眼长長面前间間门門车車电電水火"
    "山地方从從最多少几幾第一二三四五六七八九十百千万萬两兩次件本意思因所已经經被比跟又才更应應该該必须須需兒儿哪"
    "谁誰何此而且但如果然当當于於用法成行动動作打進进入外高新东東西南北美英文字書书学學校工公司钱錢难難受苦安全"
    "早晚夜晨午分秒平静靜实實发發生活命运運机機关關系係战戰争爭军軍力量王主神魔物見见相信希望永远遠带帶離离身"
)
_COMMON_JAPANESE = (
    "のいうんかしてにとたなっはがだるらすりをもこれくさまあでよそじきねちえけみお俺私君何人日一ど分つせ言ー見わ行事前気本"
    "めろば子今ンスルトイドラクア上出者生大中方話手死知思ュリシジマタプコャッフレロキメ時ぐ好世界待来ほむへやゆふひ食"
    "帰家目心自僕女男彼誰達年間会社学校先名明東京長国力場所合願信助持使動車早度後々最終部全当変悪戦命神、。？！「」…・"
    "ｱｲｳｴｵｶｷｸｹｺｻｼｽｾｿﾀﾁﾂﾃﾄﾅﾆﾇﾈﾉﾊﾋﾌﾍﾎﾏﾐﾑﾒﾓﾔﾕﾖﾗﾘﾙﾚﾛﾜｦﾝｯｬｭｮｧｨｩｪｫﾞﾟｰ"
)
_COMMON_HANGUL = (
    "이다는에가어아지고을나그하의니도사있은를한기요안리서해자로없라수게만거들내정시너여왔대우보인야무일제말오데면부럼때전"
    "네마스난생세왜구았었겠알모주저뭐당신습까죠님건장으상간것되원조러든각경미적공람두진동잖좋못원비트려행계음같와날오"
    "집오줄위중물래바선소유식방잘돼문더됐였군년월속심치될봐먹싶겁죽찾믿살목많금현친반업여용영교학회명연관"
)

LANGUAGES: dict[str, str] = {
    "Russian": "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфёъ",
    "Ukrainian": "оанивіертслкдмупзяьбгчйхжцшюїщєфґ",
    "Bulgarian": "аиоентрсвлкдпмзгубъячцжшйхщфюь",
    "Serbian": "аоиенрјсткувдмпљзгбшњчжцхћђфџ",
    "Greek": "αοιετσνηυρπκμλςωδγχθάφίόέβξήύώζψϊϋ",
    "Hebrew": "יוהלאתמרבשנכםקדעחפגטסזןךצףץ",
    "Arabic": "الينمتربوهعدفكسقحجشصىةخطزأءضذإثغظئؤآ،؟",
    "Thai": "านร่อก้เงัมียลวดทสติะปุบคหแจพขใไืู็โผซถธศณำฐญษภ์ฝฟฤๆๅ",
    "Chinese": _COMMON_HAN,
    "Japanese": _COMMON_JAPANESE,
    "Korean": _COMMON_HANGUL,
    "German": "etnisrahduüäößlcmgobwfkzpvjyxq„“–",
    "French": "esaitnrulodcpméèàvqfbghjxçêyzôîùâûœëïwk«»’",
    "Spanish": "eaosrnidltcumpbgóívqyhfáéñzjúüxkw¿¡",
    "Portuguese": "aeosrindmutclpvgãhqbfázçéíjóxêõúâôà",
    "Italian": "eaionltrscdupmvghfbqzàèòìùéêky",
    "Nordic": "enatrsildogkmvfupbhøåäöyjæcxzwðþéíóáúý",
    "Polish": "iaeoznrswyctdkpmłujlbgęąhżśóćńfźvxq",
    "Czech": "eaoinstlvrkdumpízcábyjhéěčžšřýůgťďúňóľĺŕäôxf",
    "Hungarian": "eatlnsokizrmágédybvhjófpöőuíúcüűxq",
    "Romanian": "eiarntulocsdpmăfvîgbşţâzhjxk",
    "Croatian": "aiojenrstuvkldmpgzbčšcžhćđf",
    "Turkish": "aeinrlıdkmuytsbouzgşçhğvcöpfjüâî",
}
