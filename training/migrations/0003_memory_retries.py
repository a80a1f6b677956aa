from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("training", "0002_templates_and_reproduction")]

    operations = [
        migrations.AddField(
            model_name="trainingjob",
            name="memory_retries",
            field=models.PositiveIntegerField(
                default=0, help_text="How often the batch size was lowered after memory ran out: see training.micro_batch."
            ),
        )
    ]
